/*
 * A C program with a loop of its own, and a chat server in it: loiter is one descriptor, one
 * timeout and one call.
 *
 *     host PORT DATABASE
 *
 * It opens the listening socket itself, and hands it over; it watches its standard input beside
 * the server, and says for each line how many wait. SIGINT and SIGTERM end it in good order. How
 * it is built is in docs/embedding-c.md.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loiter.h"

static loiter_server *server;

/*
 * What it calls may be called here. It ends the poll below, since the server then has something
 * to do.
 */
static void on_signal(int number)
{
    int saved = errno;
    (void)number;
    loiter_server_drain(server);
    errno = saved;
}

static void on_log(void *user, int level, const char *target, const char *message)
{
    static const char *const names[] = {"", "error", "warn", "info", "debug", "trace"};
    (void)user;
    fprintf(stderr, "%s %s: %s\n", names[level], target, message);
}

/* Adds up what all event loops have counted. */
static void on_metric(void *user, const char *name, const char *labels, int kind, double value)
{
    (void)labels;
    (void)kind;
    if (strcmp(name, "loiter_polls_parked") == 0)
        *(double *)user += value;
}

/* A socket that listens on loopback, or -1. */
static int listen_on(unsigned short port)
{
    struct sockaddr_in address;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, SOMAXCONN) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A server on `fd` with its database at `path`; NULL, and what was wrong in `error`. */
static loiter_server *serve(int fd, const char *path, char *error, size_t size)
{
    loiter_server *made = NULL;
    loiter_config *config = loiter_config_new();
    if (loiter_config_set(config, "database", path, error, size) == LOITER_OK &&
        loiter_config_set(config, "max-connections", "1000", error, size) == LOITER_OK &&
        loiter_config_set(config, "workers", "1", error, size) == LOITER_OK)
        loiter_server_new(config, &fd, 1, &made, error, size);
    loiter_config_free(config);
    return made;
}

/* A line on standard input asks how many wait. At its end there is nobody to ask. */
static void answer_a_line(struct pollfd *input)
{
    char line[256];
    double parked = 0;
    if (read(input->fd, line, sizeof line) <= 0) {
        input->fd = -1;
        return;
    }
    loiter_server_metrics(server, on_metric, &parked, NULL, 0);
    printf("%.0f wait\n", parked);
    fflush(stdout);
}

/* The loop. Whether the server has ended well. */
static int loop(char *error, size_t size)
{
    struct pollfd watched[2] = {{0, POLLIN, 0}, {0, POLLIN, 0}};
    watched[0].fd = loiter_server_fd(server);
    watched[1].fd = STDIN_FILENO;
    while (!loiter_server_is_done(server)) {
        if (poll(watched, 2, loiter_server_timeout_ms(server)) > 0 && watched[1].revents != 0)
            answer_a_line(&watched[1]);
        /* After a signal, too: it is what has to be done now. */
        if (loiter_server_turn(server, 0, error, size) != LOITER_OK)
            return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    char error[256] = "";
    struct sigaction action;
    sigset_t ours;
    int fd, ended_well;

    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT DATABASE\n", argv[0]);
        return 2;
    }
    /* The server's threads have these blocked for good, so that they come to this one. */
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);

    loiter_log(on_log, NULL, LOITER_LOG_INFO, NULL, 0);
    fd = listen_on((unsigned short)atoi(argv[1]));
    if (fd < 0) {
        perror("cannot listen");
        return 1;
    }
    server = serve(fd, argv[2], error, sizeof error);
    if (server == NULL) {
        fprintf(stderr, "%s\n", error);
        close(fd);
        return 1;
    }
    printf("listening on http://%s\n", loiter_server_address(server, 0));
    fflush(stdout);

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    ended_well = loop(error, sizeof error);
    /* No handler may find a server that is gone. */
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    loiter_server_free(server);
    close(fd);
    if (!ended_well)
        fprintf(stderr, "%s\n", error);
    return ended_well ? 0 : 1;
}
