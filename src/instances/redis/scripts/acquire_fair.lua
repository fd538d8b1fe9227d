-- Takes KEYS[1] for the holder ARGV[1], for ARGV[2] milliseconds, if it is free and it
-- is the asker's turn. The queue KEYS[2] has the tickets of all who wait, and who lives
-- has a key: the queue's name, a colon and the ticket. KEYS[3] is the asker's. It lives for
-- 5 seconds, and a ticket goes when its waiter's key has gone. It is renewed only when a good
-- part of that is over: whoever is behind is told of each change.
-- Returns 1 if it was taken; -1 if the holder has it already, which means that it asked
-- this server twice; or whose ticket is right before the asker's, '' if nobody's is.
local queue = KEYS[2]
local ticket = string.sub(KEYS[3], #queue + 2)
if redis.call('PTTL', KEYS[3]) < 3500 then
  redis.call('SET', KEYS[3], ticket, 'PX', 5000)
end
redis.call('ZADD', queue, string.sub(ticket, 1, 16), ticket)
redis.call('PEXPIRE', queue, 15000)
local before = ''
-- So many of the dead at once, or others would have to wait for that.
for _ = 1, 256 do
  local rank = redis.call('ZRANK', queue, ticket)
  if rank == 0 then
    before = ''
    break
  end
  before = redis.call('ZRANGE', queue, rank - 1, rank - 1)[1]
  if redis.call('EXISTS', queue .. ':' .. before) == 1 then
    break
  end
  redis.call('ZREM', queue, before)
end
local holder = redis.pcall('GET', KEYS[1])
if holder == ARGV[1] then
  return -1
end
if holder or before ~= '' then
  return before
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
