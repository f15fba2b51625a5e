/*
 * A C program with routes of its own beside the chat: a bell that clients wait for, and work that
 * a thread of the program's does for them.
 *
 *     routes PORT DATABASE
 *
 * GET /bell?heard=N is answered when the bell has been rung more often than N times, POST /bell
 * rings it, and POST /reversed gives back what it was sent, from its end. SIGINT and SIGTERM end
 * the program in good order. How it is built, and what to ask it, is in docs/embedding-c.md.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "loiter.h"

/* Keys: the bell's, under which many may wait. Those from 1 on are each one request's alone. */
enum { BELL = 0 };
/* Whatever a client can make grow has an end. */
enum { JOBS_MAX = 16, TEXT_MAX = 255 };
/* Shorter than what proxies have patience for. */
enum { WAIT_MS = 50000 };

struct job {
    int is_wanted;
    size_t size;
    char text[TEXT_MAX];
};

static loiter_server *server;

/* What callbacks and threads share. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned long rung;
/* Those that were handed in behind the last that was done; each at its key's place. */
static struct job jobs[JOBS_MAX];
static uint64_t handed_in, done;
static int is_over;

static loiter_response *text(int status, const char *body, size_t size)
{
    loiter_response *response = NULL;
    char error[128];
    if (loiter_response_new(status, "text/plain; charset=utf-8", body, size, &response, error,
                            sizeof error) != LOITER_OK)
        fprintf(stderr, "%s\n", error);
    return response;
}

static void answer_with(const loiter_request *request, int status, const char *body)
{
    loiter_response *response = text(status, body, strlen(body));
    loiter_request_answer(request, response, NULL, 0);
    loiter_response_free(response);
}

/* Changes first, and wakes then: so whoever has looked before is woken. */
static void ring(const loiter_request *request)
{
    char now[32];
    loiter_response *response;
    pthread_mutex_lock(&lock);
    snprintf(now, sizeof now, "%lu\n", ++rung);
    pthread_mutex_unlock(&lock);
    response = text(200, now, strlen(now));
    loiter_server_wake_parked(server, BELL, response, NULL, 0);
    loiter_request_answer(request, response, NULL, 0);
    loiter_response_free(response);
}

/* Who has heard all of it waits for the next time. */
static void listen_for_it(const loiter_request *request)
{
    char now[32];
    loiter_response *response;
    const char *heard = loiter_request_parameter(request, "heard");
    pthread_mutex_lock(&lock);
    snprintf(now, sizeof now, "%lu", rung);
    pthread_mutex_unlock(&lock);
    if (heard == NULL || strcmp(heard, now) != 0) {
        strcat(now, "\n");
        answer_with(request, 200, now);
        return;
    }
    response = text(200, "not yet\n", 8);
    loiter_request_park(request, BELL, WAIT_MS, response, NULL, 0);
    loiter_response_free(response);
}

/* What takes long is done elsewhere, and the request waits under a key that nobody else has. */
static void hand_in(const loiter_request *request)
{
    size_t size;
    uint64_t key = 0;
    loiter_response *response;
    const void *body = loiter_request_body(request, &size);
    pthread_mutex_lock(&lock);
    if (size <= TEXT_MAX && handed_in - done < JOBS_MAX) {
        struct job *job;
        key = ++handed_in;
        job = &jobs[key % JOBS_MAX];
        memcpy(job->text, body, size);
        job->size = size;
        job->is_wanted = 1;
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
    if (key == 0) {
        answer_with(request, 503, "too much\n");
        return;
    }
    response = text(504, "it takes too long\n", 18);
    loiter_request_park(request, key, WAIT_MS, response, NULL, 0);
    loiter_response_free(response);
}

static void on_request(void *user, const loiter_request *request)
{
    const char *method = loiter_request_method(request);
    const char *path = loiter_request_path(request);
    (void)user;
    if (strcmp(path, "/bell") == 0 && strcmp(method, "GET") == 0)
        listen_for_it(request);
    else if (strcmp(path, "/bell") == 0 && strcmp(method, "POST") == 0)
        ring(request);
    else if (strcmp(path, "/reversed") == 0 && strcmp(method, "POST") == 0)
        hand_in(request);
    else
        answer_with(request, 404, "There is nothing to do here.\n");
}

/* What nobody waits for need not be done. */
static void on_gone(void *user, uint64_t key, int how)
{
    (void)user;
    if (key == BELL) {
        if (how == LOITER_GONE_LEFT) {
            printf("somebody has left\n");
            fflush(stdout);
        }
        return;
    }
    pthread_mutex_lock(&lock);
    if (key > done)
        jobs[key % JOBS_MAX].is_wanted = 0;
    pthread_mutex_unlock(&lock);
}

/* The thread that does the work. */
static void *work(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&lock);
    for (;;) {
        struct job job;
        char reversed[TEXT_MAX + 1];
        size_t at;
        uint64_t key = done + 1;
        loiter_response *response;
        while (!is_over && done == handed_in)
            pthread_cond_wait(&changed, &lock);
        if (is_over)
            break;
        job = jobs[key % JOBS_MAX];
        done = key;
        if (!job.is_wanted)
            continue;
        pthread_mutex_unlock(&lock);
        for (at = 0; at < job.size; at++)
            reversed[at] = job.text[job.size - 1 - at];
        reversed[job.size] = '\n';
        response = text(200, reversed, job.size + 1);
        loiter_server_wake_parked(server, key, response, NULL, 0);
        loiter_response_free(response);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void on_signal(int number)
{
    int saved = errno;
    (void)number;
    loiter_server_drain(server);
    errno = saved;
}

/* A server with its own routes; NULL, and what was wrong in `error`. */
static loiter_server *serve(const char *port, const char *database, char *error, size_t size)
{
    static const char *const prefixes[] = {"/bell", "/reversed"};
    loiter_server *made = NULL;
    loiter_config *config = loiter_config_new();
    char listen[64];
    snprintf(listen, sizeof listen, "127.0.0.1:%s", port);
    if (loiter_config_set(config, "listen", listen, error, size) == LOITER_OK &&
        loiter_config_set(config, "database", database, error, size) == LOITER_OK &&
        loiter_config_set_routes(config, prefixes, 2, on_request, on_gone, NULL, error, size) ==
            LOITER_OK)
        loiter_server_new(config, NULL, 0, &made, error, size);
    loiter_config_free(config);
    return made;
}

int main(int argc, char **argv)
{
    char error[256] = "";
    struct sigaction action;
    pthread_t worker;
    int status;

    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT DATABASE\n", argv[0]);
        return 2;
    }
    server = serve(argv[1], argv[2], error, sizeof error);
    if (server == NULL || pthread_create(&worker, NULL, work, NULL) != 0) {
        fprintf(stderr, "cannot start: %s\n", error);
        loiter_server_free(server);
        return 1;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    printf("listening on http://%s\n", loiter_server_address(server, 0));
    fflush(stdout);
    status = loiter_server_run(server, error, sizeof error);
    if (status != LOITER_OK)
        fprintf(stderr, "%s\n", error);

    /* From here on no handler and no thread may find it. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_mutex_lock(&lock);
    is_over = 1;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(worker, NULL);
    loiter_server_free(server);
    return status == LOITER_OK ? 0 : 1;
}
