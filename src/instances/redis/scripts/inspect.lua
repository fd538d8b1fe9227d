-- Says what KEYS[1] has, nothing if it isn't there, and for how many milliseconds
-- it lives on. Of a value that is no lock's, the beginning is enough.
local value = redis.call('GET', KEYS[1])
if value then
  value = string.sub(value, 1, 4096)
end
return { value, redis.call('PTTL', KEYS[1]) }
