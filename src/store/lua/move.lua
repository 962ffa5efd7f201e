-- move: what moves a task, and what makes the gathered writes.

-- Moves a task: set, record, timeline and event, or nothing. What its clocks have passed before is announced first.
--
-- to         where to; where it is already for a verb that stays there
-- score      its place in the set; nil for a verb that stays: the one that it has
-- reason     why, a JSON string, or nil
-- is_popped  whether the task is out of its set already
-- event      the event's type where it is not the verb's own
-- task.more  more members of the event's payload, JSON from the comma on, or nil
local function move(task, verb, to, score, reason, is_popped, event)
  local from = task.state
  local is_of_human = from ~= to and (from == 'blocked' or to == 'blocked')
  if is_of_human and from then
    -- Before the clocks stand still, or go on.
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
      ring('agent:' .. task.agent)
    elseif to == 'pending' then
      ring('router')
    elseif to == 'scheduled' then
      ring('promoter')
    end
  end
  task.state = to
  note(task, verb, from, reason, event, task.more)
  if (is_of_human or TERMINAL[from]) and not TERMINAL[to] then
    set_timer(task)
  end
end

-- Gives the task to `holder` under a lease; returns until when.
local function hold(task, verb, lease_ms, holder, is_popped)
  local lease_until = NOW + lease_ms
  local d = detail(task)
  local _, timeout = facts(task)
  local is_first = not is_set(reached(task), STARTED)
  if is_first and d.timer ~= '-' and tonumber(d.timer) <= NOW then
    announce(task)
    set_timer(task)
  end
  task.attempt, d.holder = task.attempt + 1, holder
  if timeout ~= '-' then
    d.limit = TEXT[NOW + timeout]
    lease_until = math.min(lease_until, NOW + timeout)
  end
  move(task, verb, 'in_progress', lease_until, nil, is_popped)
  if is_first then
    started(task)
  end
  return lease_until
end

-- The head start of each priority, ms, from those of P0 to P3 joined by commas.
local function head_starts(texts)
  local starts, nth = {}, 0
  for text in string.gmatch(texts, '%d+') do
    starts['P' .. nth], nth = text, nth + 1
  end
  return starts
end

-- The wait before attempt number `failures` + 1, ms. `waits`: one for each number of failures, joined by commas.
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

-- A failed attempt: another one after `wait` ms (nil: by `waits`), or the end.
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

-- Tells the Redis subscribers of each event's channel; a channel that nobody hears costs nothing a task.
local function shout(id)
  local patterns = redis.call('PUBSUB', 'NUMPAT')
  local heard, head = {}, nil
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  for index, event in ipairs(said) do
    if heard[event] == nil then
      heard[event] = patterns > 0 or redis.call('PUBSUB', 'NUMSUB', CHANNELS .. event)[2] > 0
    end
    if heard[event] then
      local channel = CHANNELS .. event
      head = head or string.format('%012x', ms)
      local low = string.format('80%08x%04x%02x', sequence, index - 1, string.match(P, '{(%d+)}'))
      redis.call('PUBLISH', channel, '{"event_id":"' .. string.sub(head, 1, 8) .. '-' .. string.sub(head, 9) .. '-7000-'
        .. string.sub(low, 1, 4) .. '-' .. string.sub(low, 5) .. '","timestamp":"' .. iso(tonumber(ms)) .. '",' .. entry[index * 2])
    end
  end
end

-- Appends all events as one entry of the log; returns the entry's id.
local function log()
  -- `*` never goes back even if the clock does; a moved clock names its time itself.
  local at = tonumber(ARGV[1]) == 0 and '*' or TEXT[NOW] .. '-*'
  return redis.call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_KEPT, at, unpack(entry))
end

-- Writes the timers that changed.
local function set_timers()
  local set, unset = {}, {}
  for id, timer in pairs(timed) do
    if timer == '-' then
      unset[#unset + 1] = id
    else
      local size = #set
      set[size + 1], set[size + 2] = timer, id
    end
  end
  if #unset > 0 then
    redis.call('ZREM', P .. 'timers', unpack(unset))
  end
  if #set > 0 then
    redis.call('ZADD', P .. 'timers', unpack(set))
  end
end

-- Adds to the figures of this hour.
local function add_up()
  if not next(counted) and not next(measured) then
    return
  end
  local hour = P .. 'sla:' .. TEXT[math.floor(NOW / 3600000)]
  for figure, groups in pairs(counted) do
    for group, number in pairs(groups) do
      redis.call('HINCRBY', hour, group .. ' ' .. figure, number)
    end
  end
  for histogram, groups in pairs(measured) do
    for group, buckets in pairs(groups) do
      for bucket, number in pairs(buckets) do
        redis.call('HINCRBY', hour, group .. ' ' .. histogram .. ' ' .. bucket, number)
      end
    end
  end
  redis.call('EXPIRE', hour, REPORT_KEPT, 'NX')
end

-- Makes the gathered writes; returns the log entry's id, if there were events.
local function finish()
  local records = {}
  for id, task in pairs(changed) do
    local size = #records
    records[size + 1], records[size + 2] = id, pack(task)
  end
  if #records > 0 then
    redis.call('HSET', P .. 'records', unpack(records))
  end
  for set, ids in pairs(gone) do
    redis.call('ZREM', set, unpack(ids))
  end
  for set, scored in pairs(come) do
    redis.call('ZADD', set, unpack(scored))
  end
  for priority, change in pairs(opened) do
    redis.call('HINCRBY', P .. 'open', priority, change)
  end
  set_timers()
  add_up()
  local id
  if #said > 0 then
    id = log()
    shout(id)
  end
  for bell, count in pairs(rung) do
    redis.call('PUBLISH', P .. 'bell:' .. bell, count)
  end
  if #finished > 0 then
    redis.call('PUBLISH', P .. 'bell:finished', table.concat(finished, ','))
  end
  return id
end
