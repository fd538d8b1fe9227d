-- Sees whether this user may release what it takes: on a connection's first
-- acquire this stands before acquire.lua. What may not be done is the answer, and
-- nothing is taken then: what can't be deleted ends by itself in a millisecond.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', 1) then
  for _, done in ipairs({ redis.pcall('GET', KEYS[1]), redis.pcall('DEL', KEYS[1]) }) do
    if type(done) == 'table' and done.err then
      return done
    end
  end
end
