/**
 * What page and kernel tell each other, as types alone: `live/messages.py` and `live/intents.py` say the same.
 *
 * Moments are in seconds since 1970 by the kernel's clock, spans in seconds, sizes and offsets in bytes. A slot stands
 * for one process of the table.
 */

/** @typedef {"queued" | "running" | "completed" | "failed" | "killed" | "unknown"} Status */
/** @typedef {"stdout" | "stderr"} Stream */
/** @typedef {"before" | "after"} Direction */
/** @typedef {[string, string]} Run a text and its style: tokens separated by blanks */
/** @typedef {string | Run[]} Line */

/**
 * @typedef {object} Row
 * @property {string} id
 * @property {string} connection
 * @property {string | null} name
 * @property {Status} status
 * @property {string | null} detail
 * @property {string | null} language
 * @property {number | null} started by the agent's clock
 * @property {number | null} ended by the agent's clock
 * @property {number | null} began by the kernel's clock, while it runs
 * @property {number | null} elapsed once it has ended, and while it is paused
 * @property {number | null} exit_code
 * @property {number | null} progress 0 to 1
 * @property {number | null} left
 * @property {string} last line of its output
 * @property {number} skipped queued ones directly before it that the table does not show
 * @property {number} leftovers processes that it has left running
 * @property {boolean} paused
 * @property {boolean} first ahead of all queued ones that are not
 * @property {boolean} displays whether it is known to have any
 * @property {Record<string, string>} params in the order in which they tell it from others
 * @property {Record<string, string>} tags
 * @property {Record<string, (number | string)[]>} metrics points, the last at the end; told: the new ones
 * @property {boolean} metrics_cut whether there are more than are followed
 * @property {number | null} cpu percent of a core
 * @property {number | null} memory bytes
 * @property {number | null} gpu percent of a GPU
 * @property {number | null} gpu_memory bytes
 * @property {string} usual how long such runs take, in words; "" if nobody knows
 */

// ---------------------------------------------------------------- what the kernel tells

/**
 * @typedef {object} Reset
 * @property {"reset"} kind
 * @property {string} to the page
 * @property {number} count
 * @property {Record<string, unknown> | null} view
 * @property {Initial} initial
 * @property {boolean} notify
 * @property {OpenViewer[]} open
 * @property {string[]} connections
 */

/**
 * @typedef {object} Initial
 * @property {string | null} sort
 * @property {string | null} group
 * @property {string} filters
 * @property {string[] | null} columns that were asked for
 * @property {Record<string, boolean> | null} chosen as was remembered
 */

/**
 * @typedef {object} OpenViewer
 * @property {number} slot
 * @property {Stream[]} streams
 * @property {boolean} displays
 * @property {boolean} metrics
 * @property {boolean} pinned
 */

/**
 * @typedef {object} Changes
 * @property {"changes"} kind
 * @property {number[]} gone
 */

/**
 * @typedef {object} Freshness
 * @property {"freshness"} kind
 * @property {ConnectionState[]} connections
 * @property {boolean} closed
 */

/**
 * @typedef {object} ConnectionState
 * @property {string} name
 * @property {"connecting" | "live" | "polling" | "silent"} state
 * @property {number | null} updated
 * @property {number | null} since
 * @property {string | null} error
 * @property {number | null} listed
 * @property {number} interval
 * @property {number | null} ends
 */

/**
 * @typedef {object} Beat
 * @property {"beat"} kind
 */

/**
 * @typedef {object} Pong
 * @property {"pong"} kind
 * @property {string} page
 */

/**
 * @typedef {object} Call
 * @property {"call"} kind
 * @property {number} call
 */

/**
 * @typedef {object} Accepted
 * @property {"accepted"} kind
 * @property {number} request
 */

/**
 * @typedef {object} Done
 * @property {"done"} kind
 * @property {number} request
 * @property {string | null} [error]
 * @property {Answer | null} [answer]
 */

/**
 * @typedef {object} Output
 * @property {"output"} kind
 * @property {string} to the page
 * @property {number} slot
 * @property {Stream} stream
 * @property {string | null} note
 * @property {Part} part
 */

/**
 * @typedef {object} Displays
 * @property {"displays"} kind
 * @property {string} to the page
 * @property {number} slot
 * @property {string | null} note
 * @property {number} first
 * @property {number} earlier
 * @property {boolean} ended
 * @property {[number, Form][]} shown
 */

// ---------------------------------------------------------------- displays

/**
 * @typedef {object} TextForm
 * @property {"text"} form
 * @property {Line[]} lines
 */

/**
 * @typedef {object} PictureForm
 * @property {"picture"} form
 * @property {string} address
 * @property {number | null} width
 * @property {number | null} height
 */

/**
 * @typedef {object} MarkupForm
 * @property {"markup"} form
 * @property {string} html
 */

/**
 * @typedef {object} FrameForm
 * @property {"frame"} form
 * @property {string} document
 * @property {number} height
 * @property {boolean} scripts
 */

/** @typedef {TextForm | PictureForm | MarkupForm | FrameForm} Form */

/**
 * @typedef {object} Lines
 * @property {"lines"} kind
 * @property {string | null} to the page, null for all
 * @property {LineState[]} lines
 */

/**
 * @typedef {object} LineState
 * @property {string} line
 * @property {number | null} slot
 * @property {Status} status
 * @property {boolean} ended
 * @property {string | null} [head] HTML; null: as it was
 * @property {string | null} [below] HTML; null: as it was
 * @property {string | null} [text]
 */

/**
 * @typedef {object} Curves values as 32-bit numbers in a buffer
 * @property {"curves"} kind
 * @property {string} to the page
 * @property {number} slot of the viewer
 * @property {CurvesOfRun[]} runs
 */

/**
 * @typedef {object} CurvesOfRun
 * @property {number} run
 * @property {string | null} note
 * @property {number} unread
 * @property {number} skipped
 * @property {boolean} cut
 * @property {number | null} seen
 * @property {CurvePart[]} parts
 */

/**
 * @typedef {object} CurvePart
 * @property {string} name
 * @property {number} first values before it; 0: all anew
 * @property {number} every
 * @property {number} head values of which two stand for `every`
 * @property {number} count
 * @property {number} total
 * @property {[number, number][]} knots numbers of values, from 1, and their seconds
 */

/** @typedef {Reset | Changes | Freshness | Beat | Pong | Call | Accepted | Done | Output | Displays | Curves | Lines} Message */

// ---------------------------------------------------------------- parts of a stream

/**
 * @typedef {object} Anew
 * @property {"reset"} mode
 * @property {number} size
 * @property {boolean} ended
 * @property {Line[]} lines
 * @property {number} first
 * @property {number} begin
 * @property {number} end
 * @property {boolean} following
 * @property {number | null} match
 */

/**
 * @typedef {object} Grown
 * @property {"grow"} mode
 * @property {number} size
 * @property {boolean} ended
 * @property {Line[]} lines
 * @property {number} first
 * @property {number} drop
 * @property {number} begin
 * @property {number} end
 */

/**
 * @typedef {object} Sized
 * @property {"size"} mode
 * @property {number} size
 * @property {boolean} ended
 */

/**
 * @typedef {object} Earlier
 * @property {"before"} mode
 * @property {number} size
 * @property {boolean} ended
 * @property {Line[]} lines
 * @property {number} begin
 */

/**
 * @typedef {object} Later
 * @property {"after"} mode
 * @property {number} size
 * @property {boolean} ended
 * @property {Line[]} lines
 * @property {number} end
 */

/** @typedef {Anew | Grown | Sized | Earlier | Later} Part */

// ---------------------------------------------------------------- answers to intents

/**
 * @typedef {object} KillAnswer
 * @property {"killed" | "leftovers killed" | "already finished" | "still running" | "unknown id"} result
 */

/**
 * @typedef {object} RerunAnswer
 * @property {string} launched
 */

/**
 * @typedef {object} DetailsAnswer
 * @property {[string, string][]} fields
 * @property {string | null} code
 * @property {string | null} language
 */

/**
 * @typedef {object} FindAnswer
 * @property {boolean} found
 * @property {number | null} line
 * @property {number} scanned
 */

/**
 * @typedef {object} FoundLine
 * @property {number} slot
 * @property {Stream} stream
 * @property {string} line
 */

/**
 * @typedef {object} GrepAnswer
 * @property {FoundLine[]} found
 * @property {boolean} whole
 */

/**
 * @typedef {object} SlotsAnswer
 * @property {(number | null)[]} slots
 */

/**
 * @typedef {object} ChunkAnswer
 * @property {number} offset
 * @property {number} size
 * @property {boolean} last
 */

/**
 * @typedef {object} StaticAnswer
 * @property {string} model
 */

/** @typedef {KillAnswer | RerunAnswer | DetailsAnswer | FindAnswer | GrepAnswer | SlotsAnswer | ChunkAnswer | StaticAnswer} Answer */
/**
 * @typedef {{kill: KillAnswer, stop: KillAnswer, rerun: RerunAnswer, details: DetailsAnswer, find: FindAnswer, around: FindAnswer, grep: GrepAnswer,
 *   slots: SlotsAnswer, chunk: ChunkAnswer, static: StaticAnswer}} Answers
 */

// ---------------------------------------------------------------- what a page asks for

/**
 * @typedef {object} Hello
 * @property {"hello"} do
 */

/**
 * @typedef {object} Bye
 * @property {"bye"} do
 */

/**
 * @typedef {object} Ping
 * @property {"ping"} do
 */

/**
 * @typedef {object} Here
 * @property {"here"} do
 * @property {number} call
 * @property {number} missed
 */

/**
 * @typedef {object} View
 * @property {"view"} do
 * @property {Record<string, unknown>} view
 */

/**
 * @typedef {object} Keep
 * @property {"keep"} do
 */

/**
 * @typedef {object} Static
 * @property {"static"} do
 */

/**
 * @typedef {object} Selected
 * @property {"selected"} do
 * @property {number[]} slots
 */

/**
 * @typedef {object} Grep
 * @property {"grep"} do
 * @property {string} text
 */

/**
 * @typedef {object} Kill
 * @property {"kill"} do
 * @property {number} slot
 */

/**
 * @typedef {object} Rerun
 * @property {"rerun"} do
 * @property {number} slot
 */

/**
 * @typedef {object} Details
 * @property {"details"} do
 * @property {number} slot
 */

/**
 * @typedef {object} Open
 * @property {"open"} do
 * @property {number} slot
 * @property {Stream[]} [streams]
 * @property {boolean} [displays]
 * @property {number[]} [curves] of which processes
 * @property {boolean} [pinned]
 */

/**
 * @typedef {object} Show
 * @property {"show"} do
 * @property {number} slot
 * @property {Stream[]} streams
 * @property {boolean} [displays]
 * @property {number[]} [curves] of which processes
 */

/**
 * @typedef {object} More
 * @property {"more"} do
 * @property {number} slot
 */

/**
 * @typedef {object} Close
 * @property {"close"} do
 * @property {number} slot
 */

/**
 * @typedef {object} Follow
 * @property {"follow"} do
 * @property {number} slot
 * @property {Stream} stream
 */

/**
 * @typedef {object} Hold
 * @property {"hold"} do
 * @property {number} slot
 * @property {Stream} stream
 */

/**
 * @typedef {object} Page
 * @property {"page"} do
 * @property {number} slot
 * @property {Stream} stream
 * @property {Direction} direction
 * @property {number} offset
 */

/**
 * @typedef {object} Find
 * @property {"find"} do
 * @property {number} slot
 * @property {Stream} stream
 * @property {string} text
 * @property {number | null} [from]
 * @property {Direction} [direction]
 */

/**
 * @typedef {object} Around
 * @property {"around"} do
 * @property {number} slot
 * @property {Stream} stream
 * @property {number} line
 */

/**
 * @typedef {object} Chunk
 * @property {"chunk"} do
 * @property {number} slot
 * @property {Stream} stream
 * @property {number} offset
 */

/**
 * @typedef {object} HeldLine
 * @property {string} line
 * @property {boolean} [sweep]
 * @property {string | null} [connection]
 * @property {string | null} [name]
 * @property {boolean} [ended]
 */

/**
 * @typedef {object} Holds
 * @property {"holds"} do
 * @property {HeldLine[]} lines
 */

/**
 * @typedef {object} Stop
 * @property {"stop"} do
 * @property {string} line
 */

/**
 * @typedef {object} Slots
 * @property {"slots"} do
 * @property {string[]} runs
 */

/**
 * @typedef {object} Program
 * @property {"program"} do
 * @property {"viewers" | "charts"} [name]
 */

/**
 * Each goes with the page's name and a number that the page chose.
 * @typedef {Hello | Bye | Ping | Here | View | Keep | Static | Selected | Holds | Stop | Slots | Program | Kill | Rerun | Details | Open | Show
 *   | More | Close | Follow | Hold | Page | Find | Around | Chunk | Grep} Intent
 */

export {};
