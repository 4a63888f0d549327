// The session shown by the page: reads the embedded data and derives trees, links and searchable text from them.
//
// All times are microseconds since the start of the session.

/** The kinds of stretches, most important first. */
const KINDS = { call: "calls Python", run: "runs", wait: "waits", sleep: "sleeps" };

const ENDS = { open: "unfinished", broken: "broken", cancelled: "cancelled", finished: "finished" };

/** Reads the embedded data. */
function readSession() {
  const session = JSON.parse(document.getElementById("data").textContent);
  session.span = Math.max(session.to, 1);
  session.threads.forEach(complete);
  session.byNumber = new Map(session.threads.map((thread) => [thread.thread, thread]));
  link(session);
  growTree(session);
  return session;
}

/** Turns the lists of a thread into objects, and adds derived fields. */
function complete(thread) {
  thread.stretches = thread.stretches.map(([kind, from, to, what, futures = [], more = 0]) => ({ kind, from, to, what, futures, more }));
  thread.from = thread.stretches[0].from;
  thread.to = thread.stretches.at(-1).to;
  const bracket = thread.call.indexOf("(");
  thread.name = bracket < 0 ? thread.call : thread.call.slice(0, bracket);
  thread.arguments = bracket < 0 ? "" : thread.call.slice(bracket);
  const calls = new Set(thread.stretches.map((stretch) => stretch.what));
  thread.text = [thread.call, thread.result, thread.error, ...calls].join("\n").toLowerCase();
  thread.losses ??= [];
  thread.waits = [];
  thread.waiters = [];
}

/** Links each waiting thread with those it waits for. */
function link(session) {
  for (const thread of session.threads) {
    for (const stretch of thread.stretches) {
      for (const future of stretch.futures) {
        const awaited = typeof future === "number" ? session.byNumber.get(future) : undefined;
        thread.waits.push({ stretch, awaited, future });
        awaited?.waiters.push({ stretch, waiter: thread });
      }
    }
  }
}

/** Sorts the threads into a tree: each comes after its parent, with its depth. */
function growTree(session) {
  const roots = [];
  for (const thread of session.threads) {
    thread.children = [];
    const parent = session.byNumber.get(thread.parent);
    // The data may be manipulated: a parent with a larger number could create a cycle.
    thread.above = parent && parent.thread < thread.thread ? parent : undefined;
    if (thread.above) thread.above.children.push(thread);
    else roots.push(thread);
    thread.depth = thread.above ? thread.above.depth + 1 : 0;
  }
  session.tree = [];
  const open = roots.reverse();
  while (open.length > 0) {
    const thread = open.pop();
    session.tree.push(thread);
    for (let index = thread.children.length - 1; index >= 0; index--) open.push(thread.children[index]);
  }
}

/** The threads that pass `wanted`, in this order. */
function ordered(session, order, wanted) {
  const threads = session.tree.filter(wanted);
  if (order === "start") threads.sort((one, other) => one.from - other.from || one.thread - other.thread);
  if (order === "duration") threads.sort((one, other) => lasted(other) - lasted(one) || one.thread - other.thread);
  return threads;
}

function lasted(thread) {
  return thread.to - thread.from;
}

/** A predicate for threads that contain all words of a search. A number also matches the thread number. */
function matcher(search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (thread, word) => thread.text.includes(word) || word === `${thread.thread}` || word === `#${thread.thread}`;
  return (thread) => words.every((word) => fits(thread, word));
}

/** The index of the first stretch that ends at or after a time, by binary search. */
function firstAt(stretches, time) {
  let low = 0;
  let high = stretches.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stretches[middle].to < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The stretch of a thread at a time. `slack` makes narrow stretches easier to hit. */
function stretchAt(thread, time, slack) {
  let best;
  for (let index = firstAt(thread.stretches, time - slack); index < thread.stretches.length; index++) {
    const stretch = thread.stretches[index];
    if (stretch.from > time + slack) break;
    if (stretch.from <= time && time < stretch.to) return stretch;
    best ??= stretch;
  }
  return best;
}
