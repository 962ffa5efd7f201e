-- present: notes the sessions of an agent's processes whose claims wait.
-- Needs  finish, sessions
--
-- ARGV[5]   agent
-- ARGV[6]   how long a session stays live, ms
-- ARGV[7]   how many sessions of an agent to keep
-- ARGV[8…]  the processes, at most 1,000
--
-- Returns  how many it noted
local workers = ids_of(8, 1)
note_sessions(ARGV[5], workers, ARGV[6], ARGV[7])
finish()
return #workers
