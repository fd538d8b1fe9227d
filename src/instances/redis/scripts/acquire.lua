-- Takes all of KEYS for the holder ARGV[1], for ARGV[2] milliseconds, or none.
-- Returns how many were taken.
if redis.call('EXISTS', unpack(KEYS)) > 0 then
  return 0
end
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
end
return #KEYS
