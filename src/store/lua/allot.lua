-- allot: gives a process a part of what a caller may use in the current window, such as calls.
-- Needs  finish
--
-- Processes take parts, so that most uses cost Redis nothing. A part is smaller the less is left:
-- little stays unused in one process while another has none.
--
-- ARGV[5]  what it is: a class of calls, or `bytes`
-- ARGV[6]  how much of it a window has
-- ARGV[7]  length of a window, ms
-- ARGV[8]  when this caller's windows begin: so long after a multiple of the length, ms
-- ARGV[9]  how much the process needs now
--
-- Returns  how much it gets, or 0 if less is left than it needs; how much is left for other parts;
--          in how many ms the window ends
local quota, length, needed = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[9])
local passed = (NOW - ARGV[8]) % length
local rest = length - passed
local key = P .. 'rate:' .. ARGV[5] .. ':' .. TEXT[NOW - passed] .. ':' .. ACTOR
local used = tonumber(redis.call('GET', key) or 0) or 0
local left = math.max(quota - used, 0)
if left < needed then
  return { 0, left, rest }
end
local part = math.min(left, math.max(needed, math.floor(left / 64)))
write('SET', key, { TEXT[used + part], 'PX', TEXT[rest] })
finish()
return { part, left - part, rest }
