-- Deletes those of KEYS that the holder ARGV[1] has. Returns how many; or the
-- error that one of them gave, when the others are deleted.
local released, trouble = 0, nil
for _, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) == 'table' and value.err then
    trouble = value
  elseif value == ARGV[1] then
    released = released + redis.call('DEL', key)
  end
end
return trouble or released
