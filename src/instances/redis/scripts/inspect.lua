-- Says what KEYS[1] has, nothing if it isn't there, and for how many milliseconds
-- it lives on.
return { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }
