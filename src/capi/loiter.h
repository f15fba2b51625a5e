/*
 * loiter.h: a long-poll chat server within a C program.
 *
 * A program fills a configuration, makes a server of it, and then either gives the server a
 * thread (loiter_server_run) or calls it from a loop of its own: loiter_server_fd is one
 * descriptor for poll, select or epoll, loiter_server_timeout_ms is how long to wait for it at
 * most, and loiter_server_turn does what there is to do. docs/examples/host.c is such a program;
 * docs/examples/routes.c has routes of its own beside the chat.
 *
 *     char error[256];
 *     loiter_server *server = NULL;
 *     loiter_config *config = loiter_config_new();
 *     if (loiter_config_set(config, "listen", "127.0.0.1:8000", error, sizeof error) != LOITER_OK ||
 *         loiter_config_set(config, "database", "chat.db", error, sizeof error) != LOITER_OK ||
 *         loiter_server_new(config, NULL, 0, &server, error, sizeof error) != LOITER_OK ||
 *         loiter_server_run(server, error, sizeof error) != LOITER_OK) {
 *         fprintf(stderr, "%s\n", error);
 *     }
 *     loiter_server_free(server);
 *     loiter_config_free(config);
 *
 * Errors. What can fail returns an enum loiter_status as an int, LOITER_OK (0) where it has not,
 * and takes `error` and `error_size` last: a buffer of the caller's for one line of text that
 * says what was wrong and what is allowed, in UTF-8, cut where it does not fit, always
 * terminated, and empty where nothing failed. 256 bytes are enough for nearly all; NULL and 0 do
 * where nobody reads it.
 *
 * Ownership. What a function ending in _new gives is the caller's, and goes back to the one
 * ending in _free, once; that takes NULL too. Texts that functions return are loiter's, stay as
 * they are for as long as is said there, and are not freed. What is handed to loiter is copied,
 * but for callbacks and what goes with them (`user`).
 *
 * Texts are terminated UTF-8. NULL where there must be something, or what is no UTF-8, is
 * LOITER_BAD_ARGUMENT; functions without a status say what they do with NULL. Any other pointer
 * has to be what it is said to be.
 *
 * Threads. A configuration is for one thread at a time, and so is a response while it is made;
 * from then on any may read it. With a server, all functions but
 * loiter_server_free may be called from any thread at any time; loiter_server_turn and
 * loiter_server_run while another of them is under way give LOITER_BUSY, and do nothing. Whoever
 * frees it sees to it that no call with it is under way, or comes later: a thread that is in
 * loiter_server_run is ended by loiter_server_stop, and joined first. Several servers do not know
 * of one another.
 *
 * Signals. loiter_server_drain, loiter_server_stop and loiter_server_wake may be called within a
 * signal handler (they are async-signal-safe: an atomic store, and a write to an eventfd for each
 * event loop), which saves errno around them as ever. loiter handles no signal, and raises no
 * SIGPIPE. It has threads of its own, started by loiter_server_new and by the first turn, whose
 * signal mask is that of the thread that calls these. A process that has a server must not go on
 * in a child of fork; fork and exec is fine.
 *
 * Callbacks must return in the ordinary way: neither longjmp nor C++ exceptions may leave them.
 * They may call any function here but loiter_server_free.
 *
 * Panics. A defect of loiter's ends the server it is in, never the process: it is told as
 * LOITER_PANICKED, after a line on standard error. (This needs a library that was built to
 * unwind, as it is by default.)
 *
 * The binary interface holds nothing but opaque types, functions, numbers and texts. As long as
 * the version begins with 0. it may change with the second number, and not with the third.
 *
 * Link with -lloiter; with the static library also with -lpthread -ldl -lm. That has SQLite
 * within it: a program with an SQLite of its own links the shared one, which shows nothing but
 * what is below.
 */
#ifndef LOITER_H
#define LOITER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version that this header is of. */
#define LOITER_VERSION "0.1.0"

/* The version of the library, such as "0.1.0". For ever. */
const char *loiter_version(void);

/* What a function yields that can fail. */
enum loiter_status {
    LOITER_OK = 0,
    /*
     * An argument is NULL that must not be, is no UTF-8, is beyond what is allowed, or names
     * nobody.
     */
    LOITER_BAD_ARGUMENT = 1,
    /* There is no such setting, it takes no such value, or settings do not go together. */
    LOITER_BAD_SETTING = 2,
    /* An address, or a socket that was handed over, cannot be listened on. */
    LOITER_CANNOT_LISTEN = 3,
    /* The database cannot be opened, read or written. */
    LOITER_CANNOT_OPEN = 4,
    /*
     * The system failed us: there is no thread to be had, say. If that was within a turn, the
     * server has ended.
     */
    LOITER_FAILED = 5,
    /* loiter has a defect, and the server has ended. */
    LOITER_PANICKED = 6,
    /*
     * The server is in a turn already: that of another thread, or the one that this callback is
     * part of. Of a password: a server has the database open.
     */
    LOITER_BUSY = 7,
    /* The process has a log already; or somebody has this name. */
    LOITER_TAKEN = 8,
    /* As many wakes are under way as "max-wakes" and "max-wake-bytes" allow. */
    LOITER_TOO_MANY = 9,
    /* The server has ended, or is being stopped. */
    LOITER_ENDED = 10,
    /* The database cannot be copied, or not to there. */
    LOITER_CANNOT_BACK_UP = 11
};

/*
 * Settings
 */

/* Settings of a server that is yet to be made. */
typedef struct loiter_config loiter_config;

/*
 * A configuration in which all is as it is by default: the server would listen on port 8000 of
 * loopback, and keep everything in the file loiter.db of the current folder. NULL if there was no
 * memory.
 */
loiter_config *loiter_config_new(void);

/*
 * Sets what the option of this name sets on loiter's command line ("max-connections" for
 * --max-connections), to what that would take: "4096"; "10s", "5m", "2h", "30d" or bare seconds;
 * "true". See loiter --help, or docs/embedding-c.md. To "listen", "allow-origin" and
 * "trusted-proxy" it adds; all others are set anew. "cache-sessions" and "cache-messages", how
 * much an event loop remembers, are settings here only.
 *
 * LOITER_BAD_ARGUMENT, or LOITER_BAD_SETTING; then nothing has changed.
 */
int loiter_config_set(loiter_config *config, const char *name, const char *value,
                      char *error, size_t error_size);

/* Takes a configuration back. Servers that were made of it have copies. */
void loiter_config_free(loiter_config *config);

/* The name of a setting, by its number from 0 on; NULL beyond the last. For ever. */
const char *loiter_setting_name(size_t index);

/*
 * A server
 */

/* A server: its sockets, its database, and the loops between them. */
typedef struct loiter_server loiter_server;

/*
 * Listens, opens the database, and stores the new server in `*server`, or NULL where that fails.
 * Nobody is answered before the first turn.
 *
 * `sockets` are `socket_count` descriptors of sockets that listen already, instead of "listen",
 * which must then not be set; NULL and 0 for none. loiter works on copies, and the caller's stay
 * the caller's: who keeps one can end this server and start the next on it, and nobody is refused
 * meanwhile. Sockets are made not to block, which holds for all copies.
 *
 * It does not raise the limit on open files, each connection takes one: see setrlimit.
 *
 * LOITER_BAD_ARGUMENT, LOITER_BAD_SETTING, LOITER_CANNOT_LISTEN, LOITER_CANNOT_OPEN, or
 * LOITER_PANICKED.
 */
int loiter_server_new(const loiter_config *config, const int *sockets, size_t socket_count,
                      loiter_server **server, char *error, size_t error_size);

/*
 * Ends a server that has not ended, closes its database, and takes it back. After a drain it
 * waits for what is left of the drain's time at most, else for no more than a turn, a commit or a
 * password's hash.
 */
void loiter_server_free(loiter_server *server);

/*
 * Where it listens, such as "127.0.0.1:8000" or "[::1]:8000", in the order of the settings or the
 * sockets, with the port that port 0 picked. Until the server is freed; NULL beyond the last, and
 * for NULL.
 */
const char *loiter_server_address(const loiter_server *server, size_t index);

/* The port of that address; 0 beyond the last, and for NULL. */
uint16_t loiter_server_port(const loiter_server *server, size_t index);

/*
 * The descriptor that is readable when there is something to do, for a poll of the caller's own.
 * It is the same for as long as the server is not freed, and nothing may be done with it but to
 * wait. -1 for NULL.
 */
int loiter_server_fd(const loiter_server *server);

/*
 * How many milliseconds to wait for the descriptor at most before a turn is due all the same; -1
 * for ever, as poll takes it. It changes with each turn, and is for the thread that makes them:
 * to others it may say -1. -1 for NULL.
 */
int loiter_server_timeout_ms(const loiter_server *server);

/*
 * One turn: does what there is to do, a bounded piece of it, and waits for something to do for
 * `timeout_ms` milliseconds at most, 0 not at all, below 0 as long as it takes. A loop of its own
 * calls it with 0, whenever the descriptor is readable or its time is over; calling it more often
 * does no harm. With several "loops" the first turn starts the others' threads, and the last
 * waits for them to end.
 *
 * LOITER_BAD_ARGUMENT, LOITER_BUSY; LOITER_FAILED or LOITER_PANICKED, after which the server has
 * ended: what was acknowledged is on the disk, and all connections are closed.
 */
int loiter_server_turn(loiter_server *server, int timeout_ms, char *error, size_t error_size);

/* Makes turns until the server has ended. As loiter_server_turn. */
int loiter_server_run(loiter_server *server, char *error, size_t error_size);

/*
 * 1 if the server has ended: its sockets are closed, its descriptor is never readable, and
 * further turns do nothing. Else 0, also while another thread makes a turn, and for NULL.
 */
int loiter_server_is_done(const loiter_server *server);

/*
 * Asks for a graceful end: no newcomers, polls that wait end with their lists, every request that
 * had come is answered. It is over when all connections have ended or "drain-timeout" is over;
 * turns have to go on until then. Nothing for NULL.
 */
void loiter_server_drain(const loiter_server *server);

/* Asks for an end at once, which comes with the next turn. Nothing for NULL. */
void loiter_server_stop(const loiter_server *server);

/* Lets the turn that is waiting go on, or the next return at once. Nothing for NULL. */
void loiter_server_wake(const loiter_server *server);

/*
 * For a watchdog that calls it from time to time: 1 if every event loop has turned since the last
 * call, and at all, else 0. It waits for nobody. 0 for NULL.
 */
int loiter_server_check_pulse(const loiter_server *server);

/*
 * Makes a copy of the server's database in the new file `path`, whole and of one moment, with all
 * that was acknowledged before the call. It returns when the copy is on the disk, and takes as
 * long as that does; who is served does not wait, so it is for a thread that makes no turns. A
 * copy that fails leaves nothing. It works as long as the server is not freed.
 *
 * LOITER_BAD_ARGUMENT, or LOITER_CANNOT_BACK_UP.
 */
int loiter_backup(const loiter_server *server, const char *path, char *error, size_t error_size);

/*
 * Own routes
 *
 * A program answers paths of its own beside the chat, on the same sockets and loops: at once, or
 * later, when it wakes the key under which it has parked the request. docs/embedding.md says what
 * of the server's rules holds for them, and how nobody is passed over: change first, wake then.
 */

/* A response: it can be given to any number of requests. */
typedef struct loiter_response loiter_response;

/*
 * A response with this status (200 to 599) and body, stored in `*response`, or NULL where that
 * fails. `media_type` says what the body is ("application/json"); NULL for a response without a
 * body, as with the statuses 204, 205 and 304. The server adds Content-Length, Date and whatever
 * else HTTP asks.
 *
 * LOITER_BAD_ARGUMENT.
 */
int loiter_response_new(int status, const char *media_type, const void *body, size_t body_size,
                        loiter_response **response, char *error, size_t error_size);

/*
 * Adds a field: "Location", "/elsewhere". Names may be given more than once; those that depend on
 * the framing or the connection are the server's, and refused.
 *
 * LOITER_BAD_ARGUMENT; then nothing has changed.
 */
int loiter_response_add_field(loiter_response *response, const char *name, const char *value,
                              char *error, size_t error_size);

/* Takes a response back. Whoever was given it, or is to be, gets it all the same. */
void loiter_response_free(loiter_response *response);

/* A request to a path of the program's own: there until the callback returns, on its thread. */
typedef struct loiter_request loiter_request;

/*
 * Answers a request, by one call of loiter_request_answer or loiter_request_park; of several the
 * last counts, and without any the client gets 500. It runs on a loop, and everybody else there
 * waits meanwhile: what takes longer than a look into memory is for another thread, and the
 * request is parked until that wakes it. With several "loops" it is called on their threads,
 * several at a time.
 */
typedef void (*loiter_answer_fn)(void *user, const loiter_request *request);

/* How a request has ended that was parked and that nothing has answered. */
enum loiter_gone {
    /* Its client has hung up, or the server has ended it for what was sent behind it. */
    LOITER_GONE_LEFT = 0,
    /* It has waited long enough, and got what it was to get then. */
    LOITER_GONE_TIMED_OUT = 1,
    /* It got 503 and never waited: as many did as "max-parked" allows. */
    LOITER_GONE_REFUSED = 2,
    /* The server has ended before it was answered. */
    LOITER_GONE_ENDED = 3
};

/*
 * Is told that a request has ended that was parked under `key`, and that neither a wake nor a
 * drain (by 503) has answered: once of each such request, on the thread of its loop, with a value
 * of enum loiter_gone. Those who wait when the server ends are told of within its last turn, or
 * within loiter_server_free; none where it has failed or panicked.
 */
typedef void (*loiter_gone_fn)(void *user, uint64_t key, int how);

/*
 * Has servers that are made of this configuration ask `answer` for what they have not themselves
 * at one of `prefix_count` prefixes, or below it: for "/builds" also "/builds/7". Paths are
 * compared as they are sent; "/" stands for all. A prefix in whose first part there is something
 * of the server's ("/message") is refused by loiter_server_new, as LOITER_BAD_ARGUMENT. Instead
 * of what was set before; without prefixes nobody is asked. `gone` may be NULL. The callbacks and `user` have to stay good until all such
 * servers are freed.
 *
 * LOITER_BAD_ARGUMENT; then nothing has changed.
 */
int loiter_config_set_routes(loiter_config *config, const char *const *prefixes,
                             size_t prefix_count, loiter_answer_fn answer, loiter_gone_fn gone,
                             void *user, char *error, size_t error_size);

/* The method, as sent: "GET". Until the callback returns, as all that a request says. */
const char *loiter_request_method(const loiter_request *request);

/* The path, as sent, percent-encoding and all. NULL for NULL, here and below. */
const char *loiter_request_path(const loiter_request *request);

/* The query, as sent, without its question mark; "" where there is none. */
const char *loiter_request_query(const loiter_request *request);

/* Where it comes from, such as "127.0.0.1": see "trusted-proxy". A call of the system. */
const char *loiter_request_client(const loiter_request *request);

/*
 * A parameter of the query, decoded. NULL where it is not given or has a NUL in it; and for all,
 * where the query cannot be read in one way only.
 */
const char *loiter_request_parameter(const loiter_request *request, const char *name);

/* The field of this name; NULL where there is none, or several, or it is no UTF-8. */
const char *loiter_request_field(const loiter_request *request, const char *name);

/*
 * The body, which is not terminated, and in `*size` how many bytes it has: "max-body" at most.
 * `size` may be NULL.
 */
const void *loiter_request_body(const loiter_request *request, size_t *size);

/* Answers the request of this callback. The response stays the caller's. LOITER_BAD_ARGUMENT. */
int loiter_request_answer(const loiter_request *request, const loiter_response *response,
                          char *error, size_t error_size);

/*
 * Has it wait until `key` is woken, for `at_most_ms` milliseconds (to an eighth of a second) and
 * then for `then`; below 0 for as long as it takes. Keys are the program's own; as many as want
 * to may wait under one. LOITER_BAD_ARGUMENT.
 */
int loiter_request_park(const loiter_request *request, uint64_t key, int at_most_ms,
                        const loiter_response *then, char *error, size_t error_size);

/*
 * Answers all who are parked under `key` by now, each once, and returns at once: the loops answer
 * in turns of theirs. Change what the callback looks at, and wake then; so nobody who has looked
 * before is passed over, and who has looked behind may be woken too. From any thread, also within
 * a callback; not within a signal handler.
 *
 * LOITER_BAD_ARGUMENT; LOITER_TOO_MANY or LOITER_ENDED: nobody is woken.
 */
int loiter_server_wake_parked(const loiter_server *server, uint64_t key,
                              const loiter_response *response, char *error, size_t error_size);

/*
 * Users, for whoever runs the server. The configuration names the database, which a server of this
 * version must have made, and what passwords have to be ("min-password-length",
 * "password-iterations"). To hash one takes as long as a login does.
 */

/*
 * Adds a user, also while the database is served, and stores the id in `*id`, unless that is
 * NULL.
 *
 * LOITER_BAD_ARGUMENT for a name or password that breaks a rule, LOITER_TAKEN,
 * LOITER_CANNOT_OPEN, or LOITER_FAILED.
 */
int loiter_user_add(const loiter_config *config, const char *name, const char *password,
                    int64_t *id, char *error, size_t error_size);

/*
 * Gives a user another password, and ends all sessions of theirs. Only while no server has the
 * database open, since that would go on taking the sessions.
 *
 * As loiter_user_add, LOITER_BAD_ARGUMENT also where there is no such user, and LOITER_BUSY.
 */
int loiter_user_set_password(const loiter_config *config, const char *name, const char *password,
                             char *error, size_t error_size);

/*
 * What is counted
 */

/* What a number's change means. */
enum loiter_metric_kind {
    /* It counts from 0 at the server's start, and only grows. */
    LOITER_COUNTER = 0,
    /* It is as it is right now. */
    LOITER_GAUGE = 1
};

/*
 * Is told one number. `name` is as Prometheus would have it ("loiter_connections",
 * "loiter_wakes_total", "loiter_turn_seconds_bucket"), and so is `labels`: "event_loop=\"0\"",
 * several with commas between, "" where there are none. Both are gone when it returns.
 */
typedef void (*loiter_metric_fn)(void *user, const char *name, const char *labels, int kind,
                                 double value);

/*
 * Calls back with every number there is, on this thread, before it returns. Some hundred numbers
 * for each event loop; nobody who is served waits for it. It works as long as the server is not
 * freed. What each number is stands in the text at "metrics-addr".
 *
 * LOITER_BAD_ARGUMENT.
 */
int loiter_server_metrics(const loiter_server *server, loiter_metric_fn visit, void *user,
                          char *error, size_t error_size);

/*
 * Where metrics are told as text, as loiter_server_address has it, if "metrics-addr" is set. NULL
 * if it is not, and for NULL. The library is built with the feature metrics for it; without, that
 * setting is refused.
 */
const char *loiter_server_metrics_address(const loiter_server *server);

/*
 * The log
 */

/* How much a line matters; and, of loiter_log, up to which lines are told. */
enum loiter_log_level {
    LOITER_LOG_OFF = 0,
    LOITER_LOG_ERROR = 1,
    LOITER_LOG_WARN = 2,
    LOITER_LOG_INFO = 3,
    LOITER_LOG_DEBUG = 4,
    LOITER_LOG_TRACE = 5
};

/*
 * Is told one line of the log: how much it matters, who says it ("loiter::server"), and what.
 * Both texts are gone when it returns. Any thread may call it, several at a time.
 */
typedef void (*loiter_log_fn)(void *user, int level, const char *target, const char *message);

/*
 * Has lines of the log told by callback, for the whole process and as long as that lives: `write`
 * and `user` have to stay good. To be called once, before the first server, whose start has
 * something to say. Without it nothing is logged. No line holds a query string, a cookie, a
 * password or a message. Of the libraries that loiter stands on, errors and warnings are told at
 * most.
 *
 * LOITER_BAD_ARGUMENT, or LOITER_TAKEN.
 */
int loiter_log(loiter_log_fn write, void *user, int level, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
