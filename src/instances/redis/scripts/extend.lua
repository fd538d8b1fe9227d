-- Lets all of KEYS live for at least ARGV[2] milliseconds more, if each is held
-- by ARGV[1]. A life is never shortened: this may be an old request that arrives
-- after a newer and longer one. Returns how many were extended, all or none.
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) ~= ARGV[1] then
    return 0
  end
end
for _, key in ipairs(KEYS) do
  local life = redis.pcall('PTTL', key)
  if type(life) == 'number' then
    if life < tonumber(ARGV[2]) then
      redis.call('PEXPIRE', key, ARGV[2])
    end
  else
    -- It may not be asked for: from Redis 7 on the server compares by itself.
    local done = redis.pcall('PEXPIRE', key, ARGV[2], 'GT')
    if type(done) ~= 'number' then
      return life
    end
  end
end
return #KEYS
