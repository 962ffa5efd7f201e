-- correct: adds what is missing to the counters of open tasks.
-- Needs  finish
--
-- The difference does not change while tasks come and go, because each of these moves changes the
-- counter and the state together. Only another correction changes it.
--
-- ARGV[5]   when the difference was found, ms
-- ARGV[6…]  2 for each counter: priority, what to add
--
-- Returns  1, or 0 if the counters were corrected since then
local key = P .. 'corrected'
if tonumber(redis.call('GET', key) or 0) >= tonumber(ARGV[5]) then
  return IS_AGAIN and 1 or 0
end
for i = 6, #ARGV, 2 do
  if EVENT_PRIORITY[ARGV[i]] then
    opened[ARGV[i]] = (opened[ARGV[i]] or 0) + ARGV[i + 1]
  else
    write('HDEL', P .. 'open', { ARGV[i] })
  end
end
write('SET', key, { now, 'PX', 86400000 })
finish()
return 1
