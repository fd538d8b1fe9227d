-- Takes all of KEYS for the holder ARGV[1], for ARGV[2] milliseconds, or none.
-- Returns how many were taken; -1 if the holder has all of them already, which
-- means that it asked this server twice.
local taken = 0
if #KEYS == 1 then
  if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return 1
  end
  taken = 1
elseif #KEYS <= 1000 then
  taken = redis.call('EXISTS', unpack(KEYS))
else
  -- Lua can't pass any number of them at once.
  for first = 1, #KEYS, 1000 do
    taken = taken + redis.call('EXISTS', unpack(KEYS, first, math.min(first + 999, #KEYS)))
  end
end
if taken == 0 then
  for _, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  end
  return #KEYS
end
for _, key in ipairs(KEYS) do
  if redis.pcall('GET', key) ~= ARGV[1] then
    return 0
  end
end
return -1
