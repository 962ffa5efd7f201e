-- publish: an event from outside joins the log.
--
-- ARGV[5]  event type
-- ARGV[6]  the event's JSON from `"event_type"` on, to its closing brace
--
-- Returns  the log entry's id
said[1] = ARGV[5]
entry[1], entry[2] = 'e', ARGV[6]
return finish()
