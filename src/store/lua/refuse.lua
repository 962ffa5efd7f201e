-- refuse: records in the audit log that calls of the caller were refused.
-- Needs  finish, audit
--
-- ARGV[5]  the call: its method and its path with the names of parameters
-- ARGV[6]  the cause
-- ARGV[7]  how many of the caller's calls were refused since it was recorded last
-- ARGV[8]  a name of this call, by which a repetition finds that the first one ran
-- The last 2: see audit.lua.
--
-- Returns  1
local once = P .. 'recorded:' .. ARGV[8]
if IS_AGAIN and redis.call('GET', once) then
  return 1
end
-- Longer than the store repeats calls.
write('SET', once, { '1', 'PX', 10000 })
audit('refuse', 'call:' .. ARGV[5], { cause = ARGV[6], count = ARGV[7] })
finish()
return 1
