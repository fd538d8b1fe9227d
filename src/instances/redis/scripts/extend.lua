-- Lets all of KEYS live for at least ARGV[2] milliseconds more, if each is held
-- by ARGV[1]. A life is never shortened: this may be an old request that arrives
-- after a newer and longer one. Returns how many were extended, all or none.
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) ~= ARGV[1] then
    return 0
  end
end
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', key, ARGV[2])
  end
end
return #KEYS
