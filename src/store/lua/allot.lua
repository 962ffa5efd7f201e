-- allot: gives a process a part of the calls that a caller may make in the current window.
-- Needs  finish
--
-- Processes take parts, so that most calls cost Redis nothing. A part is smaller the less is left:
-- little stays unused in one process while another has none.
--
-- ARGV[5]  class of the calls
-- ARGV[6]  how many calls a window has
-- ARGV[7]  length of a window, ms
-- ARGV[8]  when this caller's windows begin: so long after a multiple of the length, ms
-- ARGV[9]  how many calls the process needs now
--
-- Returns  how many calls it gets, or 0 if fewer are left than it needs; how many are left for
--          other parts; in how many ms the window ends
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
