/* SPDX-License-Identifier: MIT */
/*
 * The engine's insides, for flow/ alone.
 *
 *     source machine ──► source edge ──► lanes: input → decode → nodes … ──► exchange edge of lane 0 … n ──► nodes …
 *                                                                        └─► sink edge ──► sink machine
 *
 * A pipeline is a set of machines that share nothing but edges. Each lane has its own instance of every stage, and runs
 * turns through the tree of nodes behind an input until they leave at an output. With one lane there are no exchanges:
 * all nodes hang behind the source edges.
 */
#ifndef FLOW_ENGINE_H
#define FLOW_ENGINE_H

#include "async/context.h"
#include "base/histogram.h"
#include "codec/codec.h"
#include "data/pool.h"
#include "data/symbols.h"
#include "flow/edge.h"
#include "flow/keyed.h"
#include "flow/pipeline.h"
#include "flow/receipt.h"

enum { ROOM_SIZES = 33 }; /* of turns; room.c */
/* Who waits for room is woken. Should that ever fail, it looks by itself after so long: a net, which tests see unused.
 */
enum { ROOM_LOOK_AGAIN_MS = 20 };
enum { SOURCE_ROWS_MOST = 4096 }; /* in a batch, unless the plan says how many */
enum { ENGINE_LANES_MAX = 64, ENGINE_NOTICES_MAX = 3, ENGINE_COUNTERS_MAX = 4096, ENGINE_COUNTER_BUCKETS = 1024 };

/* ---- Machines -------------------------------------------------------------------------------------------------- */

enum step { STEP_RAN, STEP_IDLE, STEP_BLOCKED, STEP_DONE };

struct machine {
    char name[32];
    struct pipeline *pipeline;
    struct weir_waiter waiter;
    struct weir_context context;
    /* Does some work. A source's does all of it, and waits in its context meanwhile; lanes and sinks do not wait in
     * step but answer IDLE or BLOCKED, and are stepped again when woken or at `deadline`. */
    enum step (*step)(struct machine *machine);
    int64_t deadline;
    bool timed_out;  /* the last wait ended by its deadline */
    int64_t wake_at; /* simulated runner: when a parked machine runs again by itself */
    bool done;
    _Atomic int64_t ended_ns; /* weir_now when it was done; 0: not yet */
    int64_t started_ns;
    _Atomic int64_t blocked_ns;              /* of the time it waited: for room behind it */
    _Atomic int64_t processor_ns, queued_ns; /* once it was done: on a processor; ready, waiting for one */
    _Atomic int thread_id;                   /* the kernel's; 0: not begun */
    struct weir_pool *pool;                  /* used by this machine's thread only */
    struct weir_error error;                 /* of its parts: the first that failed */
    pthread_t thread;
    bool has_thread;
    struct coroutine *coroutine; /* simulated runner */
};

/* ---- Nodes: instances of parts ---------------------------------------------------------------------------------- */

/* Where what a node emits goes to. */
struct exchange_port {
    struct exchange *exchange;
    uint32_t first_output; /* of lane->outputs: one for each target lane */
};
struct child {
    struct weir_engine_node *node;
    uint32_t input; /* of the node's inputs */
};
struct fanout {
    uint32_t from; /* plan index of what emits */
    struct child *children;
    struct weir_engine_node **sides; /* take what a stage emits to its side */
    struct exchange_port *exchanges;
    uint32_t *sink_outputs; /* of lane->outputs */
    uint32_t child_count, side_count, exchange_count, sink_count, null_sink_count;
    struct sink **null_sinks; /* sinks without write: stored here */
};

struct node_counters { /* one writer, any reader */
    _Atomic uint64_t calls, records_in, records_out, busy_ns, keys;
    _Atomic uint64_t total_ns; /* with the time in what it called */
};

struct weir_out { /* what process gets as `out` */
    struct weir_engine_node *node;
    struct async_turn *turn; /* of an asynchronous stage: where what its call emits is collected; else NULL */
};

/* A batch of which a stage has emitted a part; or that came after such a one. */
struct waiting {
    struct waiting *next;
    struct weir_batch *batch, *replaced; /* replaced: by weir_key_states */
    uint32_t input, mark;
    bool begun;
};

struct weir_engine_node {
    struct pipeline *pipeline;
    const struct plan_node *plan;
    uint32_t index; /* in the plan */
    void *self;
    bool opened;
    struct weir_env env;
    struct weir_error *error; /* the machine's */
    struct node_counters counters;
    /* sinks: */
    bool enough; /* weir_enough was called, with this: */
    uint32_t enough_rows;
    /* stages: */
    struct lane *lane;
    struct weir_out out;
    struct fanout fanout;
    struct weir_schema *in[WEIR_INPUTS_MAX], *out_schema; /* out_schema NULL: not known yet */
    struct weir_key_options key_options;
    bool key_defined, bound;
    struct keyed *keyed;
    int32_t key_columns[WEIR_INPUTS_MAX];
    struct weir_batch *replaced; /* by weir_key_states during process */
    int64_t *marks; /* event time by input and source: [input * sources + source]; INT64_MAX: does not come here */
    uint32_t mark_count;
    uint32_t sources;  /* how many lead here */
    int64_t watermark; /* the least of them */
    bool told;         /* of it; false: the stage has more to emit at this time */
    struct waiting *waiting;
    uint64_t emitted_until; /* position of the last row that it emitted */
};

/* ---- Lanes ----------------------------------------------------------------------------------------------------- */

/* Rows go to lanes by key from here on. */
struct exchange {
    const char *key;     /* column, or WEIR_KEY_OF_SOURCE */
    struct edge **edges; /* one for each target lane; only [0] when global */
    uint32_t targets;
    uint32_t depth;      /* how many exchanges lie before it */
    uint32_t *consumers; /* plan indices of the stages that start here */
    uint32_t *consumer_inputs;
    uint32_t consumer_count;
    uint32_t *producers; /* plan indices of the nodes in front */
    uint32_t producer_count;
    bool shares;               /* parts of a batch are lists of its rows rather than copies: scatter.c */
    bool joins;                /* several ways of one source come together: merged by position, also on one lane */
    struct async_stage *async; /* not by key: all rows go to this stage, and from there to any lane; targets is 1 */
};

struct output { /* of a lane: an edge and what is being collected for it in this turn */
    struct edge *edge;
    uint32_t sink; /* plan index; UINT32_MAX: the edge leads to lanes */
    struct turn *pending;
};
struct output_use { /* of an output by an input */
    uint32_t output;
    uint32_t *parts; /* for each source: which part of its turns this is */
};
struct input { /* of a lane: an edge and the tree behind it */
    struct edge *edge;
    uint32_t index; /* in lane->inputs */
    struct fanout fanout;
    struct weir_engine_node **nodes; /* all of the tree, in the order of the plan: nobody before whom it reads */
    uint32_t node_count;
    struct output_use *uses;
    uint32_t use_count;
    uint32_t source; /* index, for a source edge; else UINT32_MAX */
    struct exchange *exchange;
    struct turn *stuck; /* could not be decoded for want of memory: tried again before anything else of this input */
    /* A turn that emits in pieces, between two of them: */
    struct turn *halved;
    const struct message *at; /* its message whose time is being told; NULL: `latest` is */
    uint32_t at_node;
    int64_t latest;                 /* event time by the turn's own data; INT64_MIN: none */
    uint32_t splits;                /* how many of its pieces went out so far */
    _Atomic uint64_t halved_ticket; /* for other lanes; UINT64_MAX: there is none */
    _Atomic uint64_t stuck_ticket;  /* likewise */
    uint64_t grown[ROOM_SIZES];     /* how many bytes turns took lately, by how many they had; 0: not known yet */
};

struct lane_scratch {
    void *data;
    size_t size;
};

/* Does a lane wait for somebody to wake it? */
enum rest { REST_NOT, REST_YES, REST_ENDED };

struct lane {
    struct machine machine; /* first */
    uint32_t index;
    struct decoder *decoder;
    struct weir_engine_node **nodes; /* by plan index; NULL for sources and sinks */
    struct node_counters *ends;     /* by plan index: what is decoded for a source here, encoded or stored for a sink */
    struct node_counters hand_over; /* to other lanes and to sinks */
    _Atomic uint64_t observed_ns;   /* in options.stored */
    struct input *inputs;           /* nearest the sinks first */
    uint32_t input_count;
    struct output *outputs;
    uint32_t output_count;
    int64_t stuck_since; /* a turn could not be decoded for want of memory; 0: none */
    uint64_t seen_taken; /* rooms_taken when it was looked at last; since when nothing was seen to move */
    int64_t quiet_since;
    _Atomic bool wants_room;
    _Atomic enum rest rest;
    _Atomic bool granted;         /* everything rests: its turn between two pieces is to go on */
    bool seized;                  /* it does, now */
    bool outside;                 /* waits for memory of the system, which nobody here gives back */
    _Atomic uint64_t takes_until; /* by when pool_taken has reached this, the turn that runs has all it needs */
    uint64_t refused_before;      /* of the budget for batches, when the turn began */
    uint32_t current_source;
    uint32_t current_mark; /* of nodes' marks: the input and source of the turn that runs */
    uint32_t waiting;      /* batches that nodes have not emitted all of */
    struct lane_scratch scratches[WEIR_SCRATCHES];
    uint64_t child_ns;        /* time in children of the node that runs: to be taken off its own */
    struct histogram latency; /* of records stored on the lane */
    _Atomic uint64_t records_stored;
};

/* ---- Ends ------------------------------------------------------------------------------------------------------ */

struct source {
    struct machine machine; /* first */
    struct weir_engine_node node;
    const struct weir_source *ops;
    uint32_t index;
    struct account account;
    struct edge *edge;
    struct weir_schema *schema; /* as last announced */
    bool schema_new;
    uint64_t sequence;
    _Atomic double offered;
    _Atomic bool full_speed, ended, waiting, idle;
    _Atomic bool wants_room;    /* waits for memory, or for the event time of others */
    bool meets;                 /* its records meet those of other sources in a stage that waits for event time */
    _Atomic int64_t event_time; /* how far it has come, on lanes; INT64_MIN: nowhere yet */
    struct histogram late_by, fetch;
    _Atomic uint64_t emitted;
    uint32_t ramp_rows;            /* how many rows a batch may have by now: doubles while there is time */
    _Atomic uint32_t allowed_rows; /* and by what turns were seen to grow to; written by lanes */
    bool limit_reached;
};
struct weir_emitter {
    struct source *source;
};

/* A stage whose calls wait: one machine for all lanes, with a loop; a task for each turn that has data. */
enum { ASYNC_TURNS_MOST = 256 }; /* in it at the same time */
struct async_line {              /* turns in the order in which they came, until all before them have left */
    struct async_turn *first, *last;
    uint64_t sequence; /* of the next that leaves */
};
struct async_stage {
    struct machine machine; /* first */
    struct weir_engine_node node;
    const struct weir_stage *ops;
    struct edge *in, *out;
    bool unordered;
    _Atomic uint32_t running; /* turns whose task has not ended */
    struct async_line *lines; /* unordered: of each source */
    struct histogram wait;    /* produced → begun */
    _Atomic bool begins;      /* the part says itself when it begins with records */
};

struct pending {              /* written, not yet committed */
    struct weir_batch *batch; /* less the rows that were refused since */
    const struct weir_batch *written;
    struct pending *next;
};
struct sink {
    struct machine machine; /* first */
    struct weir_engine_node node;
    const struct weir_sink *ops;
    struct edge *edge; /* NULL: stores on the lane */
    struct weir_schema *schema;
    struct turn *current;
    int64_t retry_since, retry_at; /* 0: not retrying */
    struct pending *pending, **pending_end;
    uint64_t pending_rows;
    _Atomic uint64_t pending_bytes;
    int64_t pending_since;
    _Atomic bool holds; /* batches that it will let go of by itself */
    bool failed, closing, finished;
    struct histogram latency, wait;
    _Atomic uint64_t records_stored;
    _Atomic uint64_t write_calls, write_ns, observed_ns; /* on its own thread; observed: in options.stored */
};

/* ---- Pipeline -------------------------------------------------------------------------------------------------- */

struct counter {
    struct counter *next; /* in the order in which they came up */
    struct counter *same_bucket;
    char *part, *what, *field;
    uint64_t number;
};

struct pipeline {
    const struct plan *plan;
    struct pipeline_options options;
    struct context_clock clock;
    int64_t started;
    uint32_t lane_count, source_count, sink_count, async_count, machine_count;
    struct memory_budget batch_budget, state_budget;
    _Atomic uint64_t tickets; /* given to turns of sources */
    _Atomic uint64_t kept;    /* of the state: what stages keep beyond the states of keys */
    struct weir_symbols *symbols;
    struct source *sources; /* by plan index: the first nodes of the plan */
    struct sink *sinks;     /* sink_count */
    struct async_stage *async_stages;
    struct lane *lanes;
    struct weir_schema **schemas; /* by plan index: wide ones, which lanes have together; under `lock` */
    struct exchange *exchanges;
    uint32_t exchange_count;
    struct machine **machines;
    int cancel_fd;
    _Atomic bool stopping, aborting;
    _Atomic uint32_t machines_left, lanes_busy, sources_left;
    _Atomic uint64_t timed_steps; /* pipeline.h */
    _Atomic uint64_t rooms_taken; /* by turns of all lanes: does anything move? */
    _Atomic uint64_t forced;      /* pieces that went on although they had to wait, as all waited for each other */
    struct weir_waiter waiter;    /* pipeline_wait parks here */
    bool started_machines, published;
    _Atomic uint64_t read_limit_left; /* run.limit; UINT64_MAX: none */
    _Atomic uint64_t cost_ns_256;     /* of a record downstream: the slowest machine's, in 1/256 ns */
    /* slow paths */
    pthread_mutex_t lock;        /* error, counters */
    pthread_mutex_t notice_lock; /* one line at a time; taken before lock */
    struct weir_error error;
    struct counter *counters, *last_counter, *counter_buckets[ENGINE_COUNTER_BUCKETS];
    uint32_t counter_count;
    uint64_t random;      /* simulated runner */
    struct machine *peer; /* simulated runner: of options.peer; none of `machines` */
    _Atomic bool peer_over;
    /* resolved */
    uint64_t queue_bytes;
    uint64_t batch_share; /* of the memory, for batches; the budget's limit is larger by what a turn may grow to */
    size_t pool_keep;     /* free bytes that a machine keeps: together less than half of the share */
    uint64_t grain_bytes; /* most raw bytes in a batch: so that one of each machine fits the share */
    bool branches;
    bool row_watermarks;     /* each row is to carry its watermark: there are stages that ask */
    const char *common_key;  /* of all sources, or NULL */
    int64_t watermark_delay; /* the longest of all sources */
};

/* pipeline.c */
void pipeline_fail(struct pipeline *pipeline, const struct weir_error *error); /* keeps the first, aborts */
bool pipeline_aborting(struct pipeline *pipeline);
void pipeline_notice(struct pipeline *pipeline, const char *part, const char *kind, const char *text);
/* A batch found no memory although its turn had waited for it. */
void pipeline_fail_memory(struct pipeline *pipeline, const char *part, uint64_t records);
void pipeline_count(struct pipeline *pipeline, const char *part, const char *what, const char *field, uint64_t number);
void pipeline_machine_done(struct machine *machine);

/* graph.c: edges, exchanges, fan-outs; after sources, sinks and lanes exist and before anything is opened */
int graph_build(struct pipeline *pipeline);
void graph_destroy(struct pipeline *pipeline);
bool graph_branches(const struct pipeline *pipeline); /* a record can reach more than one end */

/* source.c, lane.c, sink.c */
enum step source_step(struct machine *machine);
void source_idle(struct weir_context *context); /* a source's context calls it when it was silent for its timeout */
/* Is another source behind in event time for which this one is to wait? */
bool source_too_far_ahead(const struct source *source, bool on_lane);
/* Sets watermarks where somebody wants them. On the thread that the batch's pool belongs to, before it is published. */
void source_mark_rows(const struct source *source, struct weir_batch *batch);
/* Before anything else takes of the memory for state, as it may later take all of it. -ENOMEM. */
int lane_open(struct lane *lane);
enum step lane_step(struct machine *machine);
enum step sink_step(struct machine *machine);
/* Rows of a written batch are not to be settled as stored with the next commit. */
void sink_forget(struct sink *sink, const struct weir_batch *batch, const uint32_t *rows, uint32_t count);
int64_t sink_encode(void *owner, struct turn *turn); /* the sink edge's `complete` */

/* room.c: memory for a turn of this input, before it is taken; when it has run, what it took from the lane's pool */
bool room_take(struct lane *lane, const struct input *input, const struct edge_next *next);
void room_came(struct pipeline *pipeline); /* any thread: who waits for memory may look again */
/* For a lane about to wait: true: everything waits for each other, or the pipeline is being aborted, and this lane's
 * turn between two pieces is to go on. Then there is room, as if taken. */
bool room_seize(struct lane *lane, enum rest rest);
void room_give(struct lane *lane);
/* While this turn runs: nobody else runs, and nobody has anything to do that would give memory back. */
bool room_alone(const struct lane *lane, const struct input *input, const struct turn *turn);
void room_learn(struct lane *lane, struct input *input, const struct turn *turn, uint64_t grown);
/* How many rows of this schema a lane's part of the memory holds; UINT64_MAX: as many as lines of `size` bytes. */
uint64_t room_rows_of(const struct pipeline *pipeline, const struct weir_schema *schema, size_t size);
uint32_t room_rows_at_first(const struct pipeline *pipeline);

/* async_stage.c */
enum step async_stage_step(struct machine *machine);
void async_turn_emit(struct async_turn *turn, struct weir_batch *batch); /* weir_out_emit of a call: takes it over */
bool node_is_async(const struct plan_node *node);
/* Runs `run` as the root task of a loop in the machine's context. */
int machine_run_tasks(struct machine *machine, int (*run)(struct weir_context *context, void *argument),
                      void *argument);

/* scatter.c */
/* Of a batch that is handed on (borrowed): to an output, or to the lanes of its keys. `shared`: its part of the memory
 * that it shares with others. False: no memory, and the records are refused. */
bool lane_append(struct lane *lane, uint32_t output, uint32_t way, struct weir_batch *batch, size_t shared);
void lane_scatter(struct lane *lane, const struct exchange_port *port, uint32_t way, struct weir_batch *batch);

/* node.c */
int node_open(struct weir_engine_node *node, struct machine *machine);
void node_close(struct weir_engine_node *node);
void node_receive(struct weir_engine_node *node, uint32_t input, struct weir_batch *batch); /* borrows the batch */
int node_bind(struct weir_engine_node *node, uint32_t input, struct weir_schema *schema);
void node_schema(struct weir_engine_node *node, uint32_t input, struct weir_schema *schema);
/* True: the stage emitted a piece of what it has to at this time: to be called again, with room for the next. */
bool node_watermark(struct weir_engine_node *node, uint32_t mark, int64_t time_ns);
/* Is there a batch that came by `mark` and was not emitted whole? Goes on with the first of those. */
bool node_waits(const struct weir_engine_node *node, uint32_t mark);
void node_continue(struct weir_engine_node *node);
void fanout_data(struct lane *lane, struct fanout *fanout, struct weir_batch *batch); /* borrows */
void fanout_schema(struct lane *lane, struct fanout *fanout, struct weir_schema *schema);
/* Charges the sink, or the lane's end of it, with the time that the observer takes. */
int64_t observe_stored(struct pipeline *pipeline, uint32_t sink, uint32_t lane, const struct weir_batch *batch);
void record_latency(struct histogram *histogram, const struct weir_batch *batch, int64_t now);

/* times.c: a machine waits, which counts as blocked if it waits for room; its thread begins and ends */
void machine_park(struct machine *machine, int64_t deadline_ns, bool blocked);
void machine_begin_thread(struct machine *machine);
void machine_end_thread(struct machine *machine);

/* runner_threads.c, runner_simulated.c */
int threads_start(struct pipeline *pipeline);
void threads_join(struct pipeline *pipeline);
int simulated_start(struct pipeline *pipeline);
void simulated_end(struct pipeline *pipeline);
int simulated_run(struct pipeline *pipeline, int64_t until_ns); /* 1: all done; 0: time is up; negative: stuck */

static inline const struct weir_stage *stage_ops(const struct weir_part *part)
{
    return (const struct weir_stage *)(const void *)part; /* the head is the first member */
}
static inline void count_up(_Atomic uint64_t *counter, uint64_t number) /* one writer */
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + number, memory_order_relaxed);
}
#endif
