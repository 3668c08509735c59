/* Carries packets between TUN devices in two network namespaces, late, and loses some: the link that netem would make.
 *
 *   lossy_relay NAMESPACE_A NAMESPACE_B DELAY_MICROSECONDS LOSS_PER_MILLION
 *
 * Each namespace gets a device `lossy0`; a line `ready` on stdout says that they are there. Ends when stdin ends.
 * Losses come from a fixed seed. A queue of 16384 packets a direction; a full one drops, as a router does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PLACES 16384
#define PACKET 1600
#define BATCH 64

struct packet { uint64_t due; int length; unsigned char data[PACKET]; };
struct queue { struct packet *ring; uint32_t head, tail; };

static void fail(const char *what) { perror(what); exit(1); }

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint32_t chance(void) {
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return (uint32_t)((state >> 11) % 1000000);
}

static int device(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/var/run/netns/%s", name);
    int ns = open(path, O_RDONLY);
    if (ns < 0 || setns(ns, CLONE_NEWNET)) fail(path);
    close(ns);
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tun < 0) fail("/dev/net/tun");
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strcpy(request.ifr_name, "lossy0");
    if (ioctl(tun, TUNSETIFF, &request)) fail("TUNSETIFF");
    return tun;
}

static void take(int from, struct queue *queue, uint64_t delay, uint32_t loss) {
    static unsigned char lost[PACKET];
    for (int n = 0; n < BATCH; n++) {
        struct packet *place = &queue->ring[queue->head % PLACES];
        int drop = chance() < loss || queue->head - queue->tail >= PLACES;
        int length = read(from, drop ? lost : place->data, PACKET);
        if (length <= 0) return;
        if (drop) continue;
        place->length = length;
        place->due = now() + delay;
        queue->head++;
    }
}

static void give(int to, struct queue *queue) {
    uint64_t time = now();
    while (queue->tail != queue->head && queue->ring[queue->tail % PLACES].due <= time) {
        struct packet *place = &queue->ring[queue->tail++ % PLACES];
        if (write(to, place->data, place->length) < 0) continue; /* the device is down, or full */
    }
}

int main(int count, char **argument) {
    if (count != 5) { fprintf(stderr, "four arguments are needed\n"); return 2; }
    int tun[2] = { device(argument[1]), device(argument[2]) };
    uint64_t delay = strtoull(argument[3], 0, 10) * 1000;
    uint32_t loss = strtoul(argument[4], 0, 10);
    struct queue queue[2];
    for (int i = 0; i < 2; i++) {
        queue[i].ring = calloc(PLACES, sizeof(struct packet));
        queue[i].head = queue[i].tail = 0;
        if (!queue[i].ring) fail("calloc");
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd watched[3] = { { tun[0], POLLIN, 0 }, { tun[1], POLLIN, 0 }, { 0, POLLIN, 0 } };
        uint64_t next = now() + 1000000000ull;
        for (int i = 0; i < 2; i++)
            if (queue[i].tail != queue[i].head && queue[i].ring[queue[i].tail % PLACES].due < next)
                next = queue[i].ring[queue[i].tail % PLACES].due;
        uint64_t time = now(), left = next > time ? next - time : 0;
        struct timespec wait = { left / 1000000000ull, left % 1000000000ull };
        ppoll(watched, 3, &wait, 0);
        if (watched[2].revents) return 0;
        for (int i = 0; i < 2; i++) {
            if (watched[i].revents & POLLIN) take(tun[i], &queue[i], delay, loss);
            give(tun[1 - i], &queue[i]);
        }
    }
}
