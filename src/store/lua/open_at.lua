-- open_at: finds which of these tasks were open just before a moment, by their timelines.
-- Needs  findings
--
-- ARGV[5]   the moment, ms
-- ARGV[6…]  ids
--
-- Returns  the priority of each task that was open
local moment = tonumber(ARGV[5])
local priorities = {}
for _, found in pairs(read_all(ids_of(6, 1))) do
  local state
  if found then
    for at, _, letter in transitions(found.task) do
      if tonumber(at) < moment then
        state = STATE_OF[letter]
      end
    end
  end
  if state and not STATES[state].is_final then
    priorities[#priorities + 1] = found.task.status.priority
  end
end
return priorities
