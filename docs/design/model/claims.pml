/*
 * Claims in Leases, for one object in one partition: the protocol of internal/shard/ownership as a model for spin.
 *
 * N members share one API server. Each has a Lease that is idle, claims the partition, or is marked dead. Which views
 * the members publish is left entirely open: any member may begin to claim, or give up its claim, at any time. So the
 * proof holds for every ring and for every disagreement about who is a member.
 *
 * -DPARTS is the same for an object of a part that a resync may take. The ring gives it to member 0 all the time. Any member
 * may take the part at any time, by a Lease that says so, and give it back. A member that sees it taken by another yields
 * it, and claims it again when it sees that it is no longer taken. Two that take it at the same time may both yield, or
 * neither.
 *
 * Every member sees all writes in one order, through its own queue, as late as it likes. Its own steps are interleaved
 * with those of the others and with time in every possible way, so every pause of a process is covered. Requests to the
 * API server may be lost, and so may answers; a write lands at any time after it was begun.
 *
 * Time is counted in ticks of one clock: a member is fenced FENCE ticks after its last successful renewal was begun, and
 * may be marked dead when another has seen no write of it for LEASE ticks. That the members' own clocks differ by less
 * than LEASE/FENCE is what makes one clock an honest model of them.
 *
 * Left out: deleted Leases and the rule that a member must be settled (internal/shard/ownership simulates them), and how long
 * anything takes.
 *
 * -DNO_TIME stops time: no member is ever fenced or found dead. The rest is small enough for three members.
 *
 * -DNO_OBSERVE, -DNO_OTHERS, -DNO_FENCE, -DNO_DRAIN and -DNO_CONDITION leave out one rule each; each must fail.
 * With -DPARTS, -DNO_YIELDS lets the taker begin before the others have yielded, and -DNO_YIELD_DRAIN lets them yield with
 * requests in flight; each must fail.
 * -DREACH=IDLE, -DREACH=YIELD and -DREACH=DEAD turn into errors what must be possible: that a partition goes to another
 * member after a handoff, to the member that has taken it, and after a death.
 */

#ifndef N
#define N 2
#endif
#ifndef QL
#define QL 3            /* how many writes a member's view may lag behind; a longer lag stops the writers */
#endif
#ifndef BUDGET
#define BUDGET 255      /* how many writes may land in all; 255 stands for any number */
#endif
#define FENCE 1
#define LEASE 2

/* what a Lease says */
#define IDLE  0
#define CLAIM 1
#define DEAD  2
#define YIELD 3         /* PARTS: what others take is not claimed. CLAIM is a take then, and IDLE the share that the ring gives */

#ifdef PARTS
#define CLAIMS(j, v) ((v) == CLAIM || (v) == IDLE && (j) == 0)
#else
#define CLAIMS(j, v) ((v) == CLAIM)
#endif

/* how far a write of one's own Lease is */
#define NONE    0
#define PENDING 1       /* begun, may land */
#define LANDED  2       /* has landed, unknown to its writer */

byte lease[N];          /* what the server has */
byte seen[N * N];       /* what member i has seen of Lease j: seen[i * N + j] */
byte quiet[N * N];      /* ticks since i last saw j's Lease change, up to LEASE */
byte coming[N * N];     /* writes of j's Lease that i has not seen yet */
chan watch_0 = [QL] of { byte, byte };
chan watch_1 = [QL] of { byte, byte };
#if N > 2
chan watch_2 = [QL] of { byte, byte };
#endif

bool up[N];             /* i believes to have a live Lease */
byte since[N];          /* ticks since i's last successful renewal was begun, up to LEASE */
byte begun[N];          /* ticks since i's write under way was begun, up to LEASE */
byte write[N];          /* how far it is */
byte want[N];           /* what it says */
byte known[N];          /* what i's own Lease says, as far as i knows from the watch and from answers */
bool current[N];        /* that is still so: i knows the version that its next write has to be based on */
bool based[N];          /* the Lease still has the version that i's write under way is based on */
bool giving[N];         /* a write that gives up the claim was begun, and the watch has not shown what became of it */
byte stale[N];           /* writes of i's Lease that were begun before that one and that i has not seen yet */
bool flight[N];         /* i has a request in flight */
#if BUDGET < 255
byte budget = BUDGET;
#endif
#ifdef REACH
byte last = N;          /* who sent last */
#endif

#if BUDGET < 255
#define AFFORDABLE (budget > 0)
#else
#define AFFORDABLE true
#endif
#if N > 2
#define ROOM (nfull(watch_0) && nfull(watch_1) && nfull(watch_2) && AFFORDABLE)
#else
#define ROOM (nfull(watch_0) && nfull(watch_1) && AFFORDABLE)
#endif

/* land makes a write of Lease j known to the server, and to all watches in one order. */
inline land(j, v) {
    lease[j] = v;
    current[j] = false;
    based[j] = false;
    watch_0!j, v; coming[0 * N + j]++;
    watch_1!j, v; coming[1 * N + j]++;
#if N > 2
    watch_2!j, v; coming[2 * N + j]++;
#endif
#if BUDGET < 255
    budget--;
#endif
    skip
}

/* observe takes one event of a watch. */
inline observe(i, j, v) {
    seen[i * N + j] = v;
    coming[i * N + j]--;
    quiet[i * N + j] = 0;
    if
    :: j == i && coming[i * N + j] == 0 && !current[i] -> known[i] = v; current[i] = true
    :: else
    fi;
    if
    :: j == i && v == DEAD -> up[i] = false; giving[i] = false; stale[i] = 0; since[i] = LEASE
    :: j == i && v != DEAD && giving[i] && stale[i] == 0 -> giving[i] = false
    :: j == i && v != DEAD && giving[i] && stale[i] > 0 -> stale[i]--
    :: else
    fi
}

/* Rule 2: the watch has shown our own claim; and nothing that gives it up is under way. */
#ifdef NO_OBSERVE
#define OBSERVED(i) (up[i] && CLAIMS(i, known[i]) && current[i] && !giving[i])
#else
#define OBSERVED(i) (up[i] && CLAIMS(i, seen[i * N + i]) && !giving[i])
#endif

/* Rule 3: no other member claims, as far as seen. */
#ifdef NO_OTHERS
#define FREE(i) true
#else
#ifdef NO_YIELDS
#define GONE(i, j) (i == j || !CLAIMS(j, seen[i * N + j]) || seen[i * N + j] == IDLE && known[i] == CLAIM)
#else
#define GONE(i, j) (i == j || !CLAIMS(j, seen[i * N + j]))
#endif
#if N > 2
#define FREE(i) (GONE(i, 0) && GONE(i, 1) && GONE(i, 2))
#else
#define FREE(i) (GONE(i, 0) && GONE(i, 1))
#endif
#endif

/* Rule 4: the fence has not fallen. */
#ifdef NO_FENCE
#define FRESH(i) true
#else
#define FRESH(i) (since[i] < FENCE)
#endif

/* busy: a request of i is in flight, and i has not been fenced since. What a stopped process leaves behind at its fence
 * is an unknown outcome, and is repaired by repeating the last word. */
#ifdef NO_FENCE
#define BUSY(i) (flight[i])
#else
#define BUSY(i) (flight[i] && since[i] < FENCE)
#endif

/* A write is conditional on the version that its writer knows. A writer with an old version would fail, which is left out. */
#define MAYWRITE(i) (up[i] && write[i] == NONE && current[i] && known[i] != DEAD)
#define BEGIN(i) write[i] = PENDING; begun[i] = 0; based[i] = true

#ifdef NO_CONDITION
#define SILENT(i, j) (i != j && quiet[i * N + j] >= LEASE && seen[i * N + j] != DEAD && lease[j] != DEAD)
#else
#define SILENT(i, j) (i != j && quiet[i * N + j] >= LEASE && seen[i * N + j] != DEAD && coming[i * N + j] == 0)
#endif

#ifdef NO_DRAIN
#define ENDED(i) true
#else
#define ENDED(i) (!flight[i])
#endif

/* Another member takes the part, as far as seen. */
#if N > 2
#define TAKEN(i) (i != 0 && seen[i * N] == CLAIM || i != 1 && seen[i * N + 1] == CLAIM || i != 2 && seen[i * N + 2] == CLAIM)
#else
#define TAKEN(i) (i != 0 && seen[i * N] == CLAIM || i != 1 && seen[i * N + 1] == CLAIM)
#endif
#ifdef NO_YIELD_DRAIN
#define YIELDABLE(i) true
#else
#define YIELDABLE(i) ENDED(i)
#endif

/* publish begins a write with another claim; from then on nothing is begun that it gives up. */
inline publish(i, v) {
    if
    :: CLAIMS(i, known[i]) && !CLAIMS(i, v) -> giving[i] = true; stale[i] = coming[i * N + i]
    :: else
    fi;
    want[i] = v;
    BEGIN(i)
}

proctype member(byte i; chan watch) {
    byte j, v, k;
end:
    do
    /* the watch delivers */
    :: d_step { watch?j, v -> observe(i, j, v); j = 0; v = 0 }

    /* a request is begun: the invariant */
    :: d_step {
        !flight[i] && OBSERVED(i) && FREE(i) && FRESH(i) ->
        k = 0;
        do
        :: k < N -> assert(k == i || !BUSY(k)); k++
        :: else -> break
        od;
        k = 0;
        flight[i] = true;
#ifdef REACH
        /* the partition goes from one who gave it up, or was found dead, to another */
        assert(!(last < N && last != i && lease[last] == REACH));
        last = i;
#endif
        skip
       }
    :: flight[i] -> flight[i] = false

    /* our own Lease: renewed as it is, with a new claim, or without the old one */
    :: d_step { MAYWRITE(i) -> want[i] = known[i]; BEGIN(i) }
    :: d_step { MAYWRITE(i) && known[i] == IDLE -> publish(i, CLAIM) }
    :: d_step { MAYWRITE(i) && known[i] == CLAIM && (CLAIMS(i, IDLE) || ENDED(i)) -> publish(i, IDLE) }
#ifdef PARTS
    :: d_step { MAYWRITE(i) && known[i] != YIELD && TAKEN(i) && (!CLAIMS(i, known[i]) || YIELDABLE(i)) -> publish(i, YIELD) }
    :: d_step { MAYWRITE(i) && known[i] == YIELD && !TAKEN(i) -> publish(i, IDLE) }
#endif
    :: d_step { write[i] == PENDING && based[i] && ROOM -> land(i, want[i]); write[i] = LANDED }
    :: d_step { write[i] == LANDED ->                                       /* the answer arrives */
        if
        :: up[i] -> since[i] = begun[i]; known[i] = want[i]; current[i] = (lease[i] != DEAD)
        :: else
        fi;
        write[i] = NONE; want[i] = 0; begun[i] = 0 }
    :: d_step { write[i] != NONE -> write[i] = NONE; want[i] = 0; begun[i] = 0; based[i] = false }   /* or the request, or the answer, is lost */

    /* Another member is marked dead, on the condition that its Lease is as we saw it. That the mark lands when it is begun
     * leaves nothing out: had the Lease changed in between, the condition would not hold. */
    :: d_step { SILENT(i, 0) && ROOM -> land(0, DEAD) }
    :: d_step { SILENT(i, 1) && ROOM -> land(1, DEAD) }
#if N > 2
    :: d_step { SILENT(i, 2) && ROOM -> land(2, DEAD) }
#endif

    /* a member that was found dead comes back as another incarnation when nothing is in flight any more */
    :: d_step { !up[i] && !flight[i] && write[i] == NONE && seen[i * N + i] == DEAD && coming[i * N + i] == 0 && ROOM ->
        land(i, IDLE); up[i] = true; known[i] = IDLE; current[i] = true; giving[i] = false; stale[i] = 0; since[i] = LEASE }
    od
}

/* Time passes, whatever any member does. */
proctype clock() {
    byte k;
end:
    do
    :: d_step {
        k = 0;
        do
        :: k < N * N -> if :: quiet[k] < LEASE && k / N != k % N && seen[k] != DEAD -> quiet[k]++ :: else fi; k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < N ->
            if :: since[k] < LEASE -> since[k]++ :: else fi;
            if :: write[k] != NONE && begun[k] < LEASE -> begun[k]++ :: else fi;
            k++
        :: else -> break
        od;
        k = 0
       }
    od
}

init {
    byte k;
    d_step {
        k = 0;
        do
          :: k < N -> up[k] = true; current[k] = true; since[k] = LEASE; k++
        :: else -> break
        od;
        k = 0
    };
    atomic {
        run member(0, watch_0);
        run member(1, watch_1);
#if N > 2
        run member(2, watch_2);
#endif
#ifndef NO_TIME
        run clock()
#endif
        skip
    }
}
