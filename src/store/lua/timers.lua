-- timers: when the worker must look at tasks whose clocks run.
-- Needs  lists
--
-- `timers` has a task by its timer; see clocks.lua. As long as all tasks of a batch have the timer
-- that they began with, it has their group in their place; see index.lua.

-- Timers that are due within this time wake the worker: as long as it rests without one, ms.
local DUE_SOON = 1000

-- Timers that changed: score and id in turn, the ids of those that are gone, and those of groups.
local set_timers, unset_timers, group_timers

-- The newest timer that was set, and whether it is due soon.
local newest_timer, is_soon

local function begin_timers()
  set_timers, unset_timers, group_timers, newest_timer = {}, {}, {}, nil
end

-- Wakes the worker if the timer is due soon. Most tasks of a batch have the same.
local function wake_for(timer)
  if timer ~= newest_timer then
    newest_timer, is_soon = timer, timer - NOW < DUE_SOON
  end
  if is_soon then
    wake('deadlines')
  end
end

-- Adds the write of the timer of a task whose status has OWN.
local function write_timer(id, timer)
  push(set_timers, timer, id)
  wake_for(timer)
end

-- Adds the write of the timer that a new group of tasks begins with; see index.lua. Groups of other
-- calls may have the same score, and the soonest timer counts.
local function write_group_timer(group, timer)
  if timer ~= NO_TIME then
    group_timers[group] = timer
    wake_for(timer)
  end
end
