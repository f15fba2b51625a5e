/*
 * The C interface as C sees it: what is asked for wrongly gets its error, and what is promised of
 * threads, callbacks and sockets holds. Run by tests/capi.sh, under valgrind.
 *
 *     check FOLDER
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loiter.h"

static char error[512];
#define ERROR error, sizeof error

#define CHECK(holds) check((holds) != 0, #holds, __LINE__)

static void check(int holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "check.c:%d: not so: %s (error: %s)\n", line, what, error);
    exit(1);
}

static int told(int status, int wanted, const char *text)
{
    return status == wanted && strstr(error, text) != NULL;
}

/* A server to be turned when asked by a callback of the log. */
static loiter_server *turned_within;
static int lines, busy_within;

static void on_log(void *user, int level, const char *target, const char *message)
{
    CHECK(user == &lines);
    CHECK(level >= LOITER_LOG_ERROR && level <= LOITER_LOG_TRACE);
    CHECK(strlen(target) > 0 && strlen(message) > 0);
    lines++;
    if (turned_within != NULL) {
        char within[64];
        int status = loiter_server_turn(turned_within, 0, within, sizeof within);
        CHECK(status == LOITER_BUSY && strstr(within, "in a turn already") != NULL);
        CHECK(loiter_server_is_done(turned_within) == 0);
        CHECK(loiter_server_timeout_ms(turned_within) == -1);
        busy_within++;
    }
}

struct counted {
    int numbers, labels;
    double accepted;
};

static void on_metric(void *user, const char *name, const char *labels, int kind, double value)
{
    struct counted *counted = user;
    CHECK(strncmp(name, "loiter_", 7) == 0);
    CHECK(kind == LOITER_COUNTER || kind == LOITER_GAUGE);
    counted->numbers++;
    counted->labels += strchr(labels, '=') != NULL;
    if (strcmp(name, "loiter_connections_accepted_total") == 0) {
        CHECK(strcmp(labels, "event_loop=\"0\"") == 0 || strcmp(labels, "event_loop=\"1\"") == 0);
        CHECK(kind == LOITER_COUNTER);
        counted->accepted += value;
    }
}

static void *run(void *argument)
{
    char within[128];
    int status = loiter_server_run(argument, within, sizeof within);
    CHECK(status == LOITER_OK && within[0] == '\0');
    return NULL;
}

static loiter_config *settings(const char *folder, const char *file)
{
    char path[512];
    loiter_config *config = loiter_config_new();
    CHECK(config != NULL);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    CHECK(loiter_config_set(config, "database", path, ERROR) == LOITER_OK);
    CHECK(loiter_config_set(config, "password-iterations", "1000", ERROR) == LOITER_OK);
    return config;
}

static int socket_on(unsigned short port, int (*does)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && does(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void settings_are_doubted(const char *folder)
{
    size_t index = 0;
    char small[8];
    loiter_config *config = settings(folder, "a.db");

    CHECK(strcmp(loiter_version(), LOITER_VERSION) == 0);
    CHECK(told(loiter_config_set(NULL, "queue", "1", ERROR), LOITER_BAD_ARGUMENT, "config is NULL"));
    CHECK(told(loiter_config_set(config, "queue", NULL, ERROR), LOITER_BAD_ARGUMENT, "value is NULL"));
    CHECK(told(loiter_config_set(config, "\xff", "1", ERROR), LOITER_BAD_ARGUMENT, "not UTF-8"));
    CHECK(told(loiter_config_set(config, "colour", "red", ERROR), LOITER_BAD_SETTING, "no setting 'colour'"));
    CHECK(told(loiter_config_set(config, "queue", "0", ERROR), LOITER_BAD_SETTING,
               "invalid value '0' for queue: must be from 1 to 1048576"));
    CHECK(loiter_config_set(config, "queue", "0", NULL, 0) == LOITER_BAD_SETTING);
    memset(small, 'x', sizeof small);
    CHECK(loiter_config_set(config, "queue", "0", small, 5) == LOITER_BAD_SETTING);
    CHECK(memcmp(small, "inva\0xxx", 8) == 0);
    CHECK(loiter_config_set(config, "queue", "7", ERROR) == LOITER_OK && error[0] == '\0');
    while (loiter_setting_name(index) != NULL)
        index++;
    CHECK(index > 30 && strcmp(loiter_setting_name(0), "listen") == 0);
    loiter_config_free(config);
    loiter_config_free(NULL);
}

static void what_cannot_serve_is_told(const char *folder)
{
    int pipes[2], closed, free_port, connected;
    char text[64];
    loiter_server *server = (loiter_server *)&server;
    loiter_server *first = NULL;
    loiter_config *config = settings(folder, "no/such/folder.db");

    CHECK(loiter_config_set(config, "listen", "127.0.0.1:0", ERROR) == LOITER_OK);
    CHECK(told(loiter_server_new(config, NULL, 0, &server, ERROR), LOITER_CANNOT_OPEN, "no/such"));
    CHECK(server == NULL);
    CHECK(told(loiter_server_new(NULL, NULL, 0, &server, ERROR), LOITER_BAD_ARGUMENT, "config"));
    CHECK(told(loiter_server_new(config, NULL, 0, NULL, ERROR), LOITER_BAD_ARGUMENT, "server"));
    CHECK(told(loiter_server_new(config, NULL, 2, &server, ERROR), LOITER_BAD_ARGUMENT, "sockets"));
    loiter_config_free(config);

    config = settings(folder, "a.db");
    CHECK(pipe(pipes) == 0);
    CHECK(told(loiter_server_new(config, pipes, 1, &server, ERROR), LOITER_CANNOT_LISTEN, "socket"));
    closed = pipes[1];
    close(pipes[0]);
    close(pipes[1]);
    CHECK(told(loiter_server_new(config, &closed, 1, &server, ERROR), LOITER_CANNOT_LISTEN, "descriptor"));
    closed = -1;
    CHECK(told(loiter_server_new(config, &closed, 1, &server, ERROR), LOITER_BAD_ARGUMENT, "below 0"));

    CHECK(loiter_config_set(config, "allow-origin", "https://a.example", ERROR) == LOITER_OK);
    CHECK(told(loiter_server_new(config, NULL, 0, &server, ERROR), LOITER_BAD_SETTING, "secure_cookies"));
    loiter_config_free(config);

    /* One configuration for two servers: the address is taken. */
    config = settings(folder, "a.db");
    CHECK(loiter_config_set(config, "listen", "127.0.0.1:0", ERROR) == LOITER_OK);
    CHECK(loiter_server_new(config, NULL, 0, &first, ERROR) == LOITER_OK);
    loiter_config_free(config);
    config = settings(folder, "b.db");
    free_port = loiter_server_port(first, 0);
    snprintf(text, sizeof text, "127.0.0.1:%d", free_port);
    CHECK(strcmp(loiter_server_address(first, 0), text) == 0);
    CHECK(loiter_config_set(config, "listen", text, ERROR) == LOITER_OK);
    CHECK(told(loiter_server_new(config, NULL, 0, &server, ERROR), LOITER_CANNOT_LISTEN, text));
    /* What is handed over stands in for addresses, and is listened on already. */
    connected = socket_on((unsigned short)free_port, connect);
    CHECK(told(loiter_server_new(config, &connected, 1, &server, ERROR), LOITER_BAD_SETTING, "listen"));
    loiter_config_free(config);
    config = settings(folder, "b.db");
    CHECK(told(loiter_server_new(config, &connected, 1, &server, ERROR), LOITER_CANNOT_LISTEN,
               "does not listen"));
    close(connected);
    loiter_config_free(config);
    /* It has made no turn. */
    loiter_server_free(first);
    loiter_server_free(NULL);
}

/*
 * Until all its loops have turned: all but the first are at it then, and the first is within
 * loiter_server_run.
 */
static void wait_for_turns(const loiter_server *server)
{
    while (!loiter_server_check_pulse(server))
        poll(NULL, 0, 10);
}

static void nobody_turns_twice(const char *folder)
{
    struct counted counted = {0, 0, 0};
    pthread_t thread;
    int client;
    loiter_server *server = NULL;
    loiter_config *config = settings(folder, "c.db");

    CHECK(loiter_config_set(config, "listen", "127.0.0.1:0", ERROR) == LOITER_OK);
    CHECK(loiter_config_set(config, "loops", "2", ERROR) == LOITER_OK);
    CHECK(loiter_server_new(config, NULL, 0, &server, ERROR) == LOITER_OK && error[0] == '\0');
    loiter_config_free(config);
    CHECK(loiter_server_fd(server) >= 0);
    CHECK(loiter_server_timeout_ms(server) == 0);
    CHECK(loiter_server_address(server, 1) == NULL && loiter_server_port(server, 1) == 0);
    CHECK(loiter_server_metrics_address(server) == NULL);
    CHECK(loiter_server_check_pulse(server) == 0);

    CHECK(pthread_create(&thread, NULL, run, server) == 0);
    wait_for_turns(server);
    CHECK(told(loiter_server_turn(server, 0, ERROR), LOITER_BUSY, "in a turn already"));
    CHECK(told(loiter_server_run(server, ERROR), LOITER_BUSY, "in a turn already"));
    CHECK(loiter_server_is_done(server) == 0 && loiter_server_timeout_ms(server) == -1);
    client = socket_on(loiter_server_port(server, 0), connect);
    while (counted.accepted < 1) {
        poll(NULL, 0, 10);
        memset(&counted, 0, sizeof counted);
        CHECK(loiter_server_metrics(server, on_metric, &counted, ERROR) == LOITER_OK);
    }
    CHECK(counted.numbers > 100 && counted.labels > 50);
    CHECK(told(loiter_server_metrics(server, NULL, NULL, ERROR), LOITER_BAD_ARGUMENT, "visit is NULL"));
    CHECK(told(loiter_server_metrics(NULL, on_metric, NULL, ERROR), LOITER_BAD_ARGUMENT, "server is NULL"));
    wait_for_turns(server);
    loiter_server_wake(server);
    loiter_server_stop(server);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(loiter_server_is_done(server) == 1);
    CHECK(loiter_server_turn(server, -1, ERROR) == LOITER_OK);
    close(client);
    loiter_server_free(server);
}

/* A turn has something to say where no descriptor is left for a newcomer. */
static void a_callback_cannot_turn(const char *folder)
{
    struct rlimit usual, few;
    int client;
    loiter_server *server = NULL;
    loiter_config *config = settings(folder, "d.db");
    CHECK(loiter_config_set(config, "listen", "127.0.0.1:0", ERROR) == LOITER_OK);
    CHECK(loiter_server_new(config, NULL, 0, &server, ERROR) == LOITER_OK);
    loiter_config_free(config);
    client = socket_on(loiter_server_port(server, 0), connect);
    CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    few = usual;
    few.rlim_cur = (rlim_t)dup(client);
    CHECK(close((int)few.rlim_cur) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    turned_within = server;
    while (busy_within == 0)
        CHECK(loiter_server_turn(server, -1, ERROR) == LOITER_OK);
    turned_within = NULL;
    CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
    close(client);
    loiter_server_stop(server);
    CHECK(loiter_server_run(server, ERROR) == LOITER_OK);
    CHECK(loiter_server_is_done(server) == 1);
    loiter_server_free(server);
}

static volatile sig_atomic_t handled;
static loiter_server *handled_by;

static void on_signal(int number)
{
    (void)number;
    loiter_server_drain(handled_by);
    handled = 1;
}

/*
 * A server on a socket of the host's, ended within a handler while it waits; then the next one on
 * the same socket.
 */
static void a_socket_outlives_its_servers(const char *folder)
{
    int round, kept = socket_on(0, bind);
    struct sigaction action;
    CHECK(listen(kept, 8) == 0);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    for (round = 0; round < 2; round++) {
        loiter_config *config = settings(folder, "e.db");
        CHECK(loiter_server_new(config, &kept, 1, &handled_by, ERROR) == LOITER_OK);
        loiter_config_free(config);
        CHECK(loiter_server_port(handled_by, 0) > 0);
        CHECK(loiter_server_turn(handled_by, 0, ERROR) == LOITER_OK);
        handled = 0;
        alarm(1);
        CHECK(loiter_server_run(handled_by, ERROR) == LOITER_OK);
        CHECK(handled == 1);
        loiter_server_free(handled_by);
    }
    CHECK(close(kept) == 0);
}

/* What the callbacks of own routes have seen. */
static struct {
    loiter_server *server;
    int asked;
    int gone[4];
    uint64_t last_gone;
} own;

static int is(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

static loiter_response *response(int status, const char *media_type, const char *body)
{
    loiter_response *made = NULL;
    size_t size = body == NULL ? 0 : strlen(body);
    CHECK(loiter_response_new(status, media_type, body, size, &made, ERROR) == LOITER_OK);
    return made;
}

/* What a request says is as it was sent, and what cannot be said is NULL. */
static void a_request_is_doubted(const loiter_request *request)
{
    size_t size = 0;
    const char *body = loiter_request_body(request, &size);
    CHECK(is(loiter_request_method(request), "PUT") && is(loiter_request_path(request), "/own/all"));
    CHECK(is(loiter_request_query(request), "a=%C3%A4+b&n=%00"));
    CHECK(is(loiter_request_client(request), "127.0.0.1"));
    CHECK(is(loiter_request_parameter(request, "a"), "\xc3\xa4 b"));
    CHECK(loiter_request_parameter(request, "n") == NULL);
    CHECK(loiter_request_parameter(request, "b") == NULL);
    CHECK(loiter_request_parameter(request, NULL) == NULL);
    CHECK(is(loiter_request_field(request, "x-one"), "1"));
    CHECK(loiter_request_field(request, "x-two") == NULL);
    CHECK(loiter_request_field(request, "\xff") == NULL);
    CHECK(size == 3 && memcmp(body, "abc", 3) == 0 && loiter_request_body(request, NULL) == body);
    CHECK(told(loiter_request_answer(request, NULL, ERROR), LOITER_BAD_ARGUMENT, "response is NULL"));
    CHECK(told(loiter_request_park(request, 1, 0, NULL, ERROR), LOITER_BAD_ARGUMENT, "then is NULL"));
    /* Whoever asks for a turn here is told that there is one. */
    CHECK(told(loiter_server_turn(own.server, 0, ERROR), LOITER_BUSY, "in a turn already"));
}

/* The path says what to do. */
static void on_request(void *user, const loiter_request *request)
{
    const char *path = loiter_request_path(request);
    loiter_response *first = response(204, NULL, NULL);
    loiter_response *last = response(200, "text/plain", "last");
    CHECK(user == &own);
    own.asked++;
    CHECK(loiter_response_add_field(last, "X-Own", "yes", ERROR) == LOITER_OK);
    if (is(path, "/own/all")) {
        a_request_is_doubted(request);
        /* Of several answers the last counts. */
        CHECK(loiter_request_park(request, 9, -1, first, ERROR) == LOITER_OK);
        CHECK(loiter_request_answer(request, last, ERROR) == LOITER_OK);
    } else if (is(path, "/own/parked")) {
        CHECK(loiter_request_park(request, 7, -1, first, ERROR) == LOITER_OK);
    } else if (is(path, "/own/soon")) {
        CHECK(loiter_request_park(request, 8, 1, last, ERROR) == LOITER_OK);
    } else if (is(path, "/own/wake")) {
        CHECK(loiter_server_wake_parked(own.server, 7, last, ERROR) == LOITER_OK);
        CHECK(loiter_request_answer(request, first, ERROR) == LOITER_OK);
    }
    loiter_response_free(first);
    loiter_response_free(last);
}

static void on_gone(void *user, uint64_t key, int how)
{
    CHECK(user == &own);
    CHECK(how >= 0 && how < 4);
    own.gone[how]++;
    own.last_gone = key;
}

static int asked(const char *request)
{
    int fd = socket_on(loiter_server_port(own.server, 0), connect);
    CHECK(write(fd, request, strlen(request)) == (ssize_t)strlen(request));
    return fd;
}

/* Turns until an answer has come, which is short, and holds it against what is wanted. */
static void answered(int fd, const char *status, const char *end)
{
    char answer[1024];
    ssize_t size = 0;
    while (size <= 0) {
        CHECK(loiter_server_turn(own.server, 10, ERROR) == LOITER_OK);
        size = recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT);
    }
    answer[size] = '\0';
    CHECK(strncmp(answer, status, strlen(status)) == 0);
    CHECK(strstr(answer, end) != NULL);
    close(fd);
}

static void turn_until(const int *count, int wanted)
{
    while (*count < wanted)
        CHECK(loiter_server_turn(own.server, 10, ERROR) == LOITER_OK);
    CHECK(*count == wanted);
}

static void responses_are_doubted(void)
{
    loiter_response *made = (loiter_response *)&made;
    CHECK(told(loiter_response_new(99, NULL, NULL, 0, &made, ERROR), LOITER_BAD_ARGUMENT, "status"));
    CHECK(made == NULL);
    CHECK(told(loiter_response_new(-1, NULL, NULL, 0, &made, ERROR), LOITER_BAD_ARGUMENT, "status"));
    CHECK(told(loiter_response_new(204, "a/b", "x", 1, &made, ERROR), LOITER_BAD_ARGUMENT, "body"));
    CHECK(told(loiter_response_new(200, "a\r\nb", "x", 1, &made, ERROR), LOITER_BAD_ARGUMENT,
               "no media type"));
    CHECK(told(loiter_response_new(200, NULL, "x", 1, &made, ERROR), LOITER_BAD_ARGUMENT,
               "a body needs a media type"));
    CHECK(told(loiter_response_new(200, "a/b", NULL, 1, &made, ERROR), LOITER_BAD_ARGUMENT, "body is NULL"));
    CHECK(told(loiter_response_new(200, "a/b", "x", 1, NULL, ERROR), LOITER_BAD_ARGUMENT,
               "response is NULL"));
    made = response(200, "text/plain", "x");
    CHECK(told(loiter_response_add_field(made, "Content-Length", "1", ERROR), LOITER_BAD_ARGUMENT,
               "the server's to set"));
    CHECK(told(loiter_response_add_field(made, "A", "\n", ERROR), LOITER_BAD_ARGUMENT, "control"));
    CHECK(told(loiter_response_add_field(NULL, "A", "b", ERROR), LOITER_BAD_ARGUMENT, "response"));
    loiter_response_free(made);
    loiter_response_free(NULL);
}

static void routes_are_doubted(loiter_config *config)
{
    static const char *const bad[] = {"/good", "/message/mine"};
    static const char *const null[] = {NULL};
    loiter_server *server = NULL;
    CHECK(told(loiter_config_set_routes(NULL, bad, 1, on_request, NULL, NULL, ERROR),
               LOITER_BAD_ARGUMENT, "config is NULL"));
    CHECK(loiter_config_set_routes(config, bad, 2, on_request, NULL, NULL, ERROR) == LOITER_OK);
    CHECK(told(loiter_server_new(config, NULL, 0, &server, ERROR), LOITER_BAD_ARGUMENT,
               "\"/message/mine\""));
    CHECK(told(loiter_config_set_routes(config, null, 1, on_request, NULL, NULL, ERROR),
               LOITER_BAD_ARGUMENT, "a prefix is NULL"));
    CHECK(told(loiter_config_set_routes(config, bad, 1, NULL, NULL, NULL, ERROR),
               LOITER_BAD_ARGUMENT, "answer is NULL"));
    /* None, and so nobody is asked. */
    CHECK(loiter_config_set_routes(config, NULL, 0, NULL, NULL, NULL, ERROR) == LOITER_OK);
}

static void a_program_has_routes_of_its_own(const char *folder)
{
    static const char *const prefixes[] = {"/own"};
    int parked, left;
    loiter_response *told_to = response(200, "text/plain", "elsewhere");
    loiter_config *config = settings(folder, "f.db");

    responses_are_doubted();
    routes_are_doubted(config);
    CHECK(loiter_config_set(config, "listen", "127.0.0.1:0", ERROR) == LOITER_OK);
    CHECK(loiter_config_set(config, "max-wakes", "1", ERROR) == LOITER_OK);
    CHECK(loiter_config_set(config, "max-parked", "2", ERROR) == LOITER_OK);
    CHECK(loiter_config_set_routes(config, prefixes, 1, on_request, on_gone, &own, ERROR) == LOITER_OK);
    CHECK(loiter_server_new(config, NULL, 0, &own.server, ERROR) == LOITER_OK);
    loiter_config_free(config);

    answered(asked("PUT /own/all?a=%C3%A4+b&n=%00 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-Two: 1\r\n"
                   "X-Two: 2\r\nContent-Length: 3\r\n\r\nabc"),
             "HTTP/1.1 200 ", "X-Own: yes\r\n");
    answered(asked("GET /own HTTP/1.0\r\n\r\n"), "HTTP/1.1 500 ", "\"not_answered\"");
    answered(asked("GET /own/soon HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 ", "last");
    CHECK(own.gone[LOITER_GONE_TIMED_OUT] == 1 && own.last_gone == 8);

    /* Woken by another request, and from without. */
    parked = asked("GET /own/parked HTTP/1.0\r\n\r\n");
    turn_until(&own.asked, 4);
    answered(asked("GET /own/wake HTTP/1.0\r\n\r\n"), "HTTP/1.1 204 ", "\r\n\r\n");
    answered(parked, "HTTP/1.1 200 ", "last");
    parked = asked("GET /own/parked HTTP/1.0\r\n\r\n");
    turn_until(&own.asked, 6);
    CHECK(loiter_server_wake_parked(own.server, 7, told_to, ERROR) == LOITER_OK);
    CHECK(told(loiter_server_wake_parked(own.server, 8, told_to, ERROR), LOITER_TOO_MANY, "max_wakes"));
    answered(parked, "HTTP/1.1 200 ", "elsewhere");
    CHECK(told(loiter_server_wake_parked(NULL, 7, told_to, ERROR), LOITER_BAD_ARGUMENT, "server is NULL"));
    CHECK(told(loiter_server_wake_parked(own.server, 7, NULL, ERROR), LOITER_BAD_ARGUMENT,
               "response is NULL"));

    /* Who leaves, who is one too many, and who waits until the end. */
    left = asked("GET /own/parked HTTP/1.0\r\n\r\n");
    turn_until(&own.asked, 7);
    close(left);
    turn_until(&own.gone[LOITER_GONE_LEFT], 1);
    parked = asked("GET /own/parked HTTP/1.0\r\n\r\n");
    left = asked("GET /own/parked HTTP/1.0\r\n\r\n");
    turn_until(&own.asked, 9);
    answered(asked("GET /own/parked HTTP/1.0\r\n\r\n"), "HTTP/1.1 503 ", "\"overloaded\"");
    CHECK(own.gone[LOITER_GONE_REFUSED] == 1 && own.last_gone == 7);
    loiter_server_stop(own.server);
    CHECK(loiter_server_run(own.server, ERROR) == LOITER_OK);
    CHECK(own.gone[LOITER_GONE_ENDED] == 2 && own.gone[LOITER_GONE_LEFT] == 1);
    CHECK(told(loiter_server_wake_parked(own.server, 7, told_to, ERROR), LOITER_ENDED, "has ended"));
    loiter_server_free(own.server);
    loiter_response_free(told_to);
    close(parked);
    close(left);
}

/* A copy, and users, while the server is there and when it is not. */
static void a_database_is_looked_after(const char *folder)
{
    char copy[512];
    int64_t id = 0;
    loiter_server *server = NULL;
    loiter_config *config = settings(folder, "g.db");
    CHECK(loiter_config_set(config, "listen", "127.0.0.1:0", ERROR) == LOITER_OK);
    CHECK(told(loiter_user_add(config, "Ann", "rosebud", &id, ERROR), LOITER_CANNOT_OPEN, "g.db"));
    CHECK(loiter_server_new(config, NULL, 0, &server, ERROR) == LOITER_OK);

    CHECK(loiter_user_add(config, "Ann", "rosebud", &id, ERROR) == LOITER_OK && id == 1);
    CHECK(told(loiter_user_add(config, "ann", "rosebud", NULL, ERROR), LOITER_TAKEN, "a user ann already"));
    CHECK(told(loiter_user_add(config, "", "rosebud", &id, ERROR), LOITER_BAD_ARGUMENT, "the name"));
    CHECK(told(loiter_user_add(config, "bob", "", &id, ERROR), LOITER_BAD_ARGUMENT, "the password"));
    CHECK(told(loiter_user_add(NULL, "bob", "x", &id, ERROR), LOITER_BAD_ARGUMENT, "config is NULL"));
    CHECK(told(loiter_user_set_password(config, "ann", "x", ERROR), LOITER_BUSY, "serves the database"));

    snprintf(copy, sizeof copy, "%s/copy.db", folder);
    CHECK(loiter_backup(server, copy, ERROR) == LOITER_OK && access(copy, R_OK) == 0);
    CHECK(told(loiter_backup(server, copy, ERROR), LOITER_CANNOT_BACK_UP, "copy.db"));
    CHECK(told(loiter_backup(server, NULL, ERROR), LOITER_BAD_ARGUMENT, "path is NULL"));
    CHECK(told(loiter_backup(NULL, copy, ERROR), LOITER_BAD_ARGUMENT, "server is NULL"));
    loiter_server_free(server);

    CHECK(loiter_user_set_password(config, "ann", "another", ERROR) == LOITER_OK);
    CHECK(told(loiter_user_set_password(config, "bob", "x", ERROR), LOITER_BAD_ARGUMENT, "no user bob"));
    loiter_config_free(config);
}

/*
 * Those of the store's pool end a moment after their server is freed; any other that stayed would
 * have this wait for ever.
 */
static void all_threads_are_gone(void)
{
    int threads;
    do {
        DIR *tasks = opendir("/proc/self/task");
        struct dirent *task;
        CHECK(tasks != NULL);
        threads = 0;
        while ((task = readdir(tasks)) != NULL)
            threads += task->d_name[0] != '.';
        closedir(tasks);
        poll(NULL, 0, 10);
    } while (threads > 1);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    CHECK(told(loiter_log(NULL, NULL, LOITER_LOG_INFO, ERROR), LOITER_BAD_ARGUMENT, "write is NULL"));
    CHECK(told(loiter_log(on_log, NULL, 9, ERROR), LOITER_BAD_ARGUMENT, "level must be from 0 to 5"));
    CHECK(loiter_log(on_log, &lines, LOITER_LOG_TRACE, ERROR) == LOITER_OK);
    CHECK(told(loiter_log(on_log, &lines, LOITER_LOG_TRACE, ERROR), LOITER_TAKEN, "already"));
    settings_are_doubted(argv[1]);
    what_cannot_serve_is_told(argv[1]);
    nobody_turns_twice(argv[1]);
    a_callback_cannot_turn(argv[1]);
    a_socket_outlives_its_servers(argv[1]);
    a_program_has_routes_of_its_own(argv[1]);
    a_database_is_looked_after(argv[1]);
    CHECK(lines > 0);
    all_threads_are_gone();
    puts("the C interface: ok");
    return 0;
}
