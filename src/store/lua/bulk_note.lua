-- bulk_note: records what a step of a bulk did, and ends the bulk with its last step.
-- Needs  finish
--
-- ARGV[5]   id
-- ARGV[6]   the worker process
-- ARGV[7]   how far the bulk is, JSON that only the engine reads
-- ARGV[8]   '' if more follows, else the status in which it ends
-- ARGV[9]   how long to keep a bulk that has ended, ms
-- ARGV[10]  the type of the event that it ended
-- ARGV[11]  the event's JSON from `"event_type"` on, to its closing brace
--
-- Returns  1, or 0 if another worker process has the bulk, or it has ended
local key, set = P .. 'bulk:' .. ARGV[5], P .. 'bulks'
if redis.call('HGET', key, 'holder') ~= ARGV[6] then
  return 0
end
write('HDEL', key, { 'holder' })
write('HSET', key, { 'progress', ARGV[7] })
if ARGV[8] == '' then
  write('ZADD', set, { now, ARGV[5] })
else
  write('HSET', key, { 'status', ARGV[8], 'ended', now })
  write('ZREM', set, { ARGV[5] })
  write('EXPIRE', key, { TEXT[math.ceil(ARGV[9] / 1000)] })
  tell_log({ event = ARGV[10] }, ARGV[11])
end
finish()
return 1
