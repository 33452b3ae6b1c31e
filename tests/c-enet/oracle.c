/* A real ENet host that a test drives by lines: commands on standard input, answers and events on standard output.
 *
 * Every command gets one answer: `ok`, `peer N`, `sent N`, `stats ...` or `error ...`. Events come in between, as
 * `event connect PEER DATA`, `event disconnect PEER DATA` and
 * `event receive PEER CHANNEL FLAGS LENGTH CRC32`. PEER is the index of the peer in this host.
 *
 * It ends with its standard input, at `quit`, and after --lifetime seconds. tests/src/c_enet.rs is the other end.
 */
#define _POSIX_C_SOURCE 200809L

#include <enet/enet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A command with every number at its longest takes about 100 bytes. */
#define LINE_LIMIT 256
#define WORD_LIMIT 8
/* The longest pause between two looks at ENet's timers, which count in milliseconds. */
#define PAUSE_MS 2
/* The bytes that one command may send. */
#define SEND_LIMIT (64u << 20)
/* The flags that a packet made here can have; the others say where its bytes lie. */
#define SEND_FLAGS (ENET_PACKET_FLAG_RELIABLE | ENET_PACKET_FLAG_UNSEQUENCED | ENET_PACKET_FLAG_UNRELIABLE_FRAGMENT)
/* Turns of the event loop before the standard input is looked at again, however much arrives. */
#define EVENTS_PER_TURN 512

struct options {
    long port; /* -1: a client, not bound */
    long peers, channels, incoming, outgoing, mtu, max_packet, duplicate_peers, lifetime;
    int compress, checksum;
};

struct line {
    char text[LINE_LIMIT];
    size_t length;
    int too_long;
};

static ENetHost *host;

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void fail(const char *reason)
{
    fprintf(stderr, "enet-oracle: %s\n", reason);
    exit(1);
}

static int parse(const char *text, unsigned long long limit, unsigned long long *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *value <= limit;
}

static void print_version(const char *before)
{
    ENetVersion version = enet_linked_version();
    say("%s%u.%u.%u", before, (unsigned)ENET_VERSION_GET_MAJOR(version), (unsigned)ENET_VERSION_GET_MINOR(version),
        (unsigned)ENET_VERSION_GET_PATCH(version));
}

/* The bytes that `seed` stands for; tests/src/payload.rs has the same generator. An odd seed gives bytes below 8,
 * which compress well, an even one bytes that do not compress. */
static void fill(enet_uint8 *data, size_t length, enet_uint32 seed)
{
    enet_uint32 state = seed;
    size_t i;
    for (i = 0; i < length; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (enet_uint8)(state >> (seed & 1 ? 29 : 24));
    }
}

static enet_uint32 crc32_of(const ENetPacket *packet)
{
    ENetBuffer buffer;
    buffer.data = packet->data;
    buffer.dataLength = packet->dataLength;
    return ENET_NET_TO_HOST_32(enet_crc32(&buffer, 1));
}

/* Commands. Each gets its numbers, the first of which is the peer's index where the table says so. */

typedef unsigned long long number;

static void do_connect(ENetPeer *unused, const number *n)
{
    ENetAddress address;
    ENetPeer *peer;
    (void)unused;
    enet_address_set_host_ip(&address, "127.0.0.1");
    address.port = (enet_uint16)n[0];
    peer = enet_host_connect(host, &address, (size_t)n[1], (enet_uint32)n[2]);
    if (peer == NULL)
        say("error no free peer");
    else
        say("peer %u", (unsigned)peer->incomingPeerID);
}

/* Returns whether ENet took the packet. */
static int send_one(ENetPeer *peer, enet_uint8 channel, enet_uint32 flags, size_t length, enet_uint32 seed)
{
    ENetPacket *packet = enet_packet_create(NULL, length, flags);
    if (packet == NULL)
        return 0;
    fill(packet->data, packet->dataLength, seed);
    if (enet_peer_send(peer, channel, packet) == 0)
        return 1;
    enet_packet_destroy(packet);
    return 0;
}

/* A number of packets from consecutive seeds. */
static void do_send(ENetPeer *peer, const number *n)
{
    unsigned taken = 0;
    number i;
    if (n[1] > 255 || (n[2] & ~(number)SEND_FLAGS) != 0 || n[3] * n[5] > SEND_LIMIT) {
        say("error no such channel or flags, or too much");
        return;
    }
    for (i = 0; i < n[5]; i++)
        taken += (unsigned)send_one(peer, (enet_uint8)n[1], (enet_uint32)n[2], (size_t)n[3], (enet_uint32)(n[4] + i));
    say("sent %u", taken);
}

static void do_disconnect(ENetPeer *peer, const number *n)
{
    enet_peer_disconnect(peer, (enet_uint32)n[1]);
    say("ok");
}

static void do_disconnect_now(ENetPeer *peer, const number *n)
{
    enet_peer_disconnect_now(peer, (enet_uint32)n[1]);
    say("ok");
}

static void do_disconnect_later(ENetPeer *peer, const number *n)
{
    enet_peer_disconnect_later(peer, (enet_uint32)n[1]);
    say("ok");
}

static void do_reset(ENetPeer *peer, const number *n)
{
    (void)n;
    enet_peer_reset(peer);
    say("ok");
}

static void do_timeout(ENetPeer *peer, const number *n)
{
    enet_peer_timeout(peer, (enet_uint32)n[1], (enet_uint32)n[2], (enet_uint32)n[3]);
    say("ok");
}

static void do_ping_interval(ENetPeer *peer, const number *n)
{
    enet_peer_ping_interval(peer, (enet_uint32)n[1]);
    say("ok");
}

static void do_throttle(ENetPeer *peer, const number *n)
{
    enet_peer_throttle_configure(peer, (enet_uint32)n[1], (enet_uint32)n[2], (enet_uint32)n[3]);
    say("ok");
}

static void do_bandwidth(ENetPeer *unused, const number *n)
{
    (void)unused;
    enet_host_bandwidth_limit(host, (enet_uint32)n[0], (enet_uint32)n[1]);
    say("ok");
}

static void do_flush(ENetPeer *unused, const number *n)
{
    (void)unused;
    (void)n;
    enet_host_flush(host);
    say("ok");
}

static void do_stats(ENetPeer *peer, const number *n)
{
    (void)n;
    say("stats state=%u channels=%lu mtu=%u window=%u rtt=%u loss=%u throttle=%u throttle_limit=%u interval=%u "
        "acceleration=%u deceleration=%u incoming=%u outgoing=%u sent=%u received=%u",
        (unsigned)peer->state, (unsigned long)peer->channelCount, peer->mtu, peer->windowSize, peer->roundTripTime,
        peer->packetLoss, peer->packetThrottle, peer->packetThrottleLimit, peer->packetThrottleInterval,
        peer->packetThrottleAcceleration, peer->packetThrottleDeceleration, peer->incomingBandwidth,
        peer->outgoingBandwidth, host->totalSentData, host->totalReceivedData);
}

static const struct command {
    const char *name;
    size_t numbers;
    int names_a_peer;
    void (*act)(ENetPeer *peer, const number *numbers);
} commands[] = {
    {"connect", 3, 0, do_connect},
    {"send", 6, 1, do_send},
    {"disconnect", 2, 1, do_disconnect},
    {"disconnect_now", 2, 1, do_disconnect_now},
    {"disconnect_later", 2, 1, do_disconnect_later},
    {"reset", 1, 1, do_reset},
    {"timeout", 4, 1, do_timeout},
    {"ping_interval", 2, 1, do_ping_interval},
    {"throttle", 4, 1, do_throttle},
    {"bandwidth", 2, 0, do_bandwidth},
    {"flush", 0, 0, do_flush},
    {"stats", 1, 1, do_stats},
};

/* Returns 0 at `quit`. */
static int obey(char *line)
{
    char *words[WORD_LIMIT];
    number numbers[WORD_LIMIT];
    size_t count = 0, i;
    char *word;
    for (word = strtok(line, " \t\r"); word != NULL && count < WORD_LIMIT; word = strtok(NULL, " \t\r"))
        words[count++] = word;
    if (word != NULL || count == 0) {
        say(count == 0 ? "error empty line" : "error too many words");
        return 1;
    }
    if (strcmp(words[0], "quit") == 0)
        return 0;
    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *command = &commands[i];
        size_t n;
        if (strcmp(words[0], command->name) != 0)
            continue;
        if (count - 1 != command->numbers) {
            say("error %s takes %lu numbers", command->name, (unsigned long)command->numbers);
            return 1;
        }
        for (n = 0; n < command->numbers; n++)
            if (!parse(words[n + 1], 0xFFFFFFFFu, &numbers[n])) {
                say("error not a number: %s", words[n + 1]);
                return 1;
            }
        if (command->names_a_peer && numbers[0] >= host->peerCount) {
            say("error no peer %llu", numbers[0]);
            return 1;
        }
        command->act(command->names_a_peer ? &host->peers[numbers[0]] : NULL, numbers);
        return 1;
    }
    say("error unknown command %s", words[0]);
    return 1;
}

/* Takes what has arrived on the standard input. Returns 0 when there is nothing left to do. */
static int take_input(struct line *line)
{
    char arrived[4096];
    ssize_t length = read(STDIN_FILENO, arrived, sizeof arrived), i;
    if (length <= 0)
        return length < 0 && (errno == EAGAIN || errno == EINTR);
    for (i = 0; i < length; i++) {
        if (arrived[i] == '\n') {
            line->text[line->length] = '\0';
            if (line->too_long)
                say("error line too long");
            else if (!obey(line->text))
                return 0;
            line->length = 0;
            line->too_long = 0;
        } else if (line->length + 1 < sizeof line->text) {
            line->text[line->length++] = arrived[i];
        } else {
            line->too_long = 1;
        }
    }
    return 1;
}

static void report(const ENetEvent *event)
{
    unsigned peer = event->peer->incomingPeerID;
    switch (event->type) {
    case ENET_EVENT_TYPE_CONNECT:
        say("event connect %u %u", peer, event->data);
        break;
    case ENET_EVENT_TYPE_DISCONNECT:
        say("event disconnect %u %u", peer, event->data);
        break;
    case ENET_EVENT_TYPE_RECEIVE:
        say("event receive %u %u %u %lu %08x", peer, (unsigned)event->channelID, event->packet->flags,
            (unsigned long)event->packet->dataLength, crc32_of(event->packet));
        enet_packet_destroy(event->packet);
        break;
    default:
        break;
    }
}

static void serve(long lifetime)
{
    struct line line = {{0}, 0, 0};
    time_t end = time(NULL) + lifetime;
    while (time(NULL) <= end) {
        struct pollfd watched[2] = {{STDIN_FILENO, POLLIN, 0}, {host->socket, POLLIN, 0}};
        ENetEvent event;
        int turns = EVENTS_PER_TURN;
        poll(watched, 2, PAUSE_MS);
        if (watched[0].revents != 0 && !take_input(&line))
            return;
        while (turns-- > 0 && enet_host_service(host, &event, 0) > 0)
            report(&event);
        if (fflush(stdout) != 0)
            return;
    }
}

static struct options read_options(int count, char **words)
{
    struct options options = {-1, 32, 0, 0, 0, 0, 0, 0, 120, 0, 0};
    const struct {
        const char *name;
        long *value;
    } known[] = {
        {"--port", &options.port},         {"--peers", &options.peers},
        {"--channels", &options.channels}, {"--in", &options.incoming},
        {"--out", &options.outgoing},      {"--mtu", &options.mtu},
        {"--lifetime", &options.lifetime}, {"--max-packet", &options.max_packet},
        {"--duplicate-peers", &options.duplicate_peers},
    };
    int i;
    for (i = 1; i < count; i++) {
        size_t k;
        number value;
        if (strcmp(words[i], "--compress") == 0) {
            options.compress = 1;
            continue;
        }
        if (strcmp(words[i], "--checksum") == 0) {
            options.checksum = 1;
            continue;
        }
        if (strcmp(words[i], "--version") == 0) {
            print_version("");
            exit(0);
        }
        for (k = 0; k < sizeof known / sizeof known[0] && strcmp(words[i], known[k].name) != 0; k++)
            ;
        if (k == sizeof known / sizeof known[0] || i + 1 == count || !parse(words[i + 1], 0x7FFFFFFF, &value))
            fail("unknown option, or no number after it");
        *known[k].value = (long)value;
        i++;
    }
    return options;
}

static void start(const struct options *options)
{
    ENetAddress address;
    enet_address_set_host_ip(&address, "127.0.0.1");
    address.port = options->port < 0 ? 0 : (enet_uint16)options->port;
    host = enet_host_create(options->port < 0 ? NULL : &address, (size_t)options->peers, (size_t)options->channels,
                            (enet_uint32)options->incoming, (enet_uint32)options->outgoing);
    if (host == NULL)
        fail("no host: the port may be in use");
    if (options->mtu != 0) {
        size_t i;
        host->mtu = (enet_uint32)options->mtu;
        /* ENet 1.3.17 takes the host's number over when the host is made, 1.3.18 when a connection is. */
        for (i = 0; i < host->peerCount; i++)
            host->peers[i].mtu = host->mtu;
    }
    if (options->max_packet != 0)
        host->maximumPacketSize = (size_t)options->max_packet;
    if (options->duplicate_peers != 0)
        host->duplicatePeers = (size_t)options->duplicate_peers;
    if (options->checksum)
        host->checksum = enet_crc32;
    if (options->compress && enet_host_compress_with_range_coder(host) < 0)
        fail("no range coder");
}

int main(int count, char **words)
{
    struct options options;
    char ready[32];
    if (enet_initialize() != 0)
        fail("ENet does not start");
    options = read_options(count, words);
    start(&options);
    snprintf(ready, sizeof ready, "ready %u ", (unsigned)host->address.port);
    print_version(ready);
    fflush(stdout);
    serve(options.lifetime);
    enet_host_destroy(host);
    enet_deinitialize();
    return 0;
}
