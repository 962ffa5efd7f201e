-- bulk_abort: ends a running bulk before its next task. The worker process that has it, or the next
-- one, ends it.
-- Needs  finish, audit
--
-- ARGV[5]   id
-- ARGV[6…]  2; see audit.lua
--
-- Returns  1, or 0 if there is no such bulk
local key = P .. 'bulk:' .. ARGV[5]
local status = redis.call('HGET', key, 'status')
if status ~= 'running' then
  return status and 1 or 0
end
write('HSET', key, { 'status', 'aborting', 'aborted_by', ACTOR })
audit('abort', 'bulk:' .. ARGV[5], {})
wake('bulk')
finish()
return 1
