-- publish: adds an event of a caller to the log.
-- Needs  finish
--
-- ARGV[5]  event type
-- ARGV[6]  the event's JSON from `"event_type"` on, to its closing brace
-- ARGV[7]  a name of this call, by which a repetition finds that the first one ran
--
-- ARGV[8]  how many bytes the caller may publish in this partition within
-- ARGV[9]  this time, ms
--
-- Returns  the log entry's id, or `LATER <ms>`: the caller reached its limit and may publish again
--          after this time
local once = P .. 'published:' .. ARGV[7]
local id = IS_AGAIN and redis.call('GET', once)
if id then
  return id
end
local share = P .. 'share:' .. ACTOR
local used = tonumber(redis.call('GET', share) or 0) or 0
local taken = used + #ARGV[6] + EVENT_FRAME
if taken > tonumber(ARGV[8]) then
  return 'LATER ' .. TEXT[math.max(redis.call('PTTL', share), 0)]
end
write('SET', share, used > 0 and { TEXT[taken], 'KEEPTTL' } or { TEXT[taken], 'PX', ARGV[9] })
tell_log({ event = ARGV[5] }, ARGV[6])
return finish(once)
