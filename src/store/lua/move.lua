-- move: the functions that move a task to another state.

-- Moves a task: set, record, timeline and event, or nothing. Adds the events of passed thresholds
-- first.
--
-- to         the new state; the same one for a verb that does not change it
-- score      its score in the set; nil for a verb that keeps the state and the score
-- reason     a JSON string, or nil
-- is_popped  whether the task is out of its set already
-- event      the type of the event, if it is not that of the verb
-- task.more  more members of the event's payload, JSON from the comma on, or nil
local function move(task, verb, to, score, reason, is_popped, event)
  local from = task.state
  local is_of_human = from ~= to and (from == 'blocked' or to == 'blocked')
  if is_of_human and from then
    -- Before the clocks stop or run again.
    announce(task)
    if to ~= 'blocked' then
      resume(task)
    end
  end
  if TERMINAL[to] then
    ended(task, to)
  end
  if from and from ~= to and not is_popped then
    append(gone, set_of(from, task.agent), task.id)
  end
  if score then
    append(come, set_of(to, task.agent), type(score) == 'number' and TEXT[score] or score, task.id)
  end
  if to ~= from then
    task.since = TEXT[NOW]
    if TERMINAL[to] then
      opened[task.priority] = (opened[task.priority] or 0) - 1
      finished[#finished + 1] = task.id
    elseif not from or TERMINAL[from] then
      opened[task.priority] = (opened[task.priority] or 0) + 1
    end
    if to == 'assigned' then
      look_at(task.agent, NOW + IDLE)
      wake('agent:' .. task.agent)
    elseif to == 'pending' then
      wake('router')
    elseif to == 'scheduled' then
      wake('promoter')
    elseif to == 'cancelled' then
      -- Its children may have to end too.
      append(come, P .. 'cascade', TEXT[NOW], task.id)
      wake('cascade')
    end
  end
  task.state = to
  note(task, verb, from, reason, event, task.more)
  if (is_of_human or TERMINAL[from]) and not TERMINAL[to] then
    set_timer(task)
  end
end

-- Leases the task to `holder` (see prelude.lua). Returns until when.
local function hold(task, verb, lease_ms, holder, is_popped)
  local lease_until = NOW + lease_ms
  local d = detail(task)
  local _, timeout = facts(task)
  local is_first = not is_set(reached(task), STARTED)
  if is_first and d.timer ~= '-' and tonumber(d.timer) <= NOW then
    announce(task)
    set_timer(task)
  end
  task.attempt, task.holder, task.report = task.attempt + 1, holder, '-'
  if timeout ~= '-' then
    d.limit = TEXT[NOW + timeout]
    lease_until = math.min(lease_until, NOW + timeout)
  end
  look_at(task.agent, lease_until)
  move(task, verb, 'in_progress', lease_until, nil, is_popped)
  if is_first then
    started(task)
  end
  return lease_until
end

-- Returns the head start of each priority, ms, from those of P0 to P3 joined by commas.
local function head_starts(texts)
  local starts, nth = {}, 0
  for text in string.gmatch(texts, '%d+') do
    starts['P' .. nth], nth = text, nth + 1
  end
  return starts
end

-- Returns the wait before attempt number `failures` + 1, ms. `waits` has one for each number of
-- failures, joined by commas.
local function wait_after(failures, waits)
  local nth = 0
  local wait
  for text in string.gmatch(waits, '%d+') do
    nth, wait = nth + 1, text
    if nth == failures then
      break
    end
  end
  return tonumber(wait)
end

-- Removes up to `count` members from the front of a set. Returns them and their scores. For move()
-- they are out of the set.
local function first_of(set, count)
  local flat = redis.call('ZRANGE', set, 0, count - 1, 'WITHSCORES')
  local members, scores = {}, {}
  for nth = 1, #flat, 2 do
    members[#members + 1], scores[#scores + 1] = flat[nth], flat[nth + 1]
  end
  if #members > 0 then
    write('ZREMRANGEBYRANK', set, { 0, #members - 1 })
  end
  return members, scores
end

-- Records the rank of the role that ended the task, if it is a human's: only a human of the same or
-- a higher rank reopens it.
local function note_end(task, rank)
  if TERMINAL[task.state] and tonumber(rank) >= HUMAN then
    detail(task).ended = TEXT[tonumber(rank)]
  end
end

-- Ends a failed attempt: the next one follows after `wait` ms (nil: by `waits`), or the task fails.
local function fail(task, verb, reason, is_retryable, wait, waits)
  local d = detail(task)
  local max_retries = facts(task)
  local failures = d.retries + 1
  if is_retryable and failures <= tonumber(max_retries) then
    local due = NOW + (wait or wait_after(failures, waits))
    d.retries, d.due = TEXT[failures], TEXT[due]
    move(task, verb == 'reap' and verb or 'retry', 'scheduled', due, reason, false, 'task.retrying')
  else
    move(task, verb, 'failed', NOW, reason, false, 'task.failed')
  end
end
