-- Deletes those of KEYS that have the value of the same place in ARGV. Each is judged
-- by itself: the answer has a letter for each, 1 for one that was deleted, 0 for one
-- that has another value or none, e for one that gave an error.
local answer = {}
for place, key in ipairs(KEYS) do
  local letter = '0'
  local value = redis.pcall('GET', key)
  if value == ARGV[place] then
    value = redis.pcall('DEL', key)
    letter = value == 1 and '1' or letter
  end
  if type(value) == 'table' and value.err then
    letter = 'e'
  end
  answer[place] = letter
end
return table.concat(answer)
