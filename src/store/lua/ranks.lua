-- ranks: the places of tasks in queues, and who may reopen what has ended.
-- Needs  move

-- Returns the head start of each priority, ms, from those of P0 to P3 joined by commas.
local function head_starts(texts)
  local starts, nth = {}, 0
  for text in string.gmatch(texts, '%d+') do
    starts['P' .. nth], nth = text, nth + 1
  end
  return starts
end

-- Returns a place as a record has it.
local function rank_text(ms)
  return string.format(RANK_FORMAT, math.max(ms, 0))
end

-- Records the rank of the role that ended the task, if it is a human's: only a human of the same or
-- a higher rank reopens it.
local function note_end(task, role)
  if STATES[task.status.state].is_final and tonumber(role) >= HUMAN then
    edit(task).ended = TEXT[tonumber(role)]
  end
end

-- Raises the priority of a waiting task to `new`, with the place in its queue.
--
-- starts  head starts of P0 to P3, ms, joined by commas
-- reason  a JSON string
-- actor   the actor, or nil for the caller
local function raise_to(task, new, starts, reason, actor)
  local old, ms = task.status.priority, head_starts(starts)
  opened[old], opened[new] = (opened[old] or 0) - 1, (opened[new] or 0) + 1
  if rank(task) ~= PARKED then
    set_times(task, nil, nil, rank_text(rank(task) + ms[old] - ms[new]))
  end
  local status = edit(task)
  status.priority = new
  if STATES[status.state].order == 'rank' then
    append(ranked, set_of(status.state, status.agent), rank(task), task.id)
  end
  move(task, 'reprioritize', {
    reason = reason, actor = actor,
    more = ',"priority":"' .. new .. '","previous_priority":"' .. old .. '"',
  })
end

-- Returns the state in which a task that needs no human waits.
local function waiting_state(status)
  return status.due ~= '-' and tonumber(status.due) > NOW and 'scheduled' or 'pending'
end
