-- Takes all of KEYS for the holder ARGV[1], for ARGV[2] milliseconds, or none.
-- Returns how many were taken; -1 if the holder has all of them already, which
-- means that it asked this server twice.
if redis.call('EXISTS', unpack(KEYS)) > 0 then
  for _, key in ipairs(KEYS) do
    if redis.pcall('GET', key) ~= ARGV[1] then
      return 0
    end
  end
  return -1
end
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
end
return #KEYS
