-- Sees whether this user may release what it takes: on a connection's first
-- acquire this stands before acquire.lua. What may not be done is the answer, and
-- nothing is taken then: what can't be deleted ends by itself in a millisecond.
local trouble
local function try(command, ...)
  local done = redis.pcall(command, ...)
  if type(done) ~= 'table' or not done.err then
    return done
  end
  -- Servers don't say which one.
  local is_silent = string.find(done.err, 'run this command', 1, true)
  trouble = trouble or { err = done.err .. (is_silent and ': ' .. command or '') }
end
if try('SET', KEYS[1], ARGV[1], 'NX', 'PX', 1) then
  try('GET', KEYS[1])
  try('DEL', KEYS[1])
end
if trouble then
  return trouble
end
