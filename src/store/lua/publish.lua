-- publish: an event from outside joins the log.
--
-- ARGV[5]  event type
-- ARGV[6]  the event's JSON from `"event_type"` on, to its closing brace
-- ARGV[7]  a name of this call's own, by which a repetition finds that the first one ran
--
-- Returns  the log entry's id
local once = P .. 'published:' .. ARGV[7]
local id = IS_AGAIN and redis.call('GET', once)
if id then
  return id
end
said[1] = ARGV[5]
entry[1], entry[2] = 'e', ARGV[6]
return finish(once)
