-- Deletes those of KEYS that the holder ARGV[1] has. Returns how many.
local released = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    released = released + redis.call('DEL', key)
  end
end
return released
