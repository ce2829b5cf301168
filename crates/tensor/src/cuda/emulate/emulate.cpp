// Runs the kernels that cuda_host.h makes known; see there.

#include "cuda_host.h"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <setjmp.h>
#include <ucontext.h>
#ifdef EMULATED_FOR_RACES
#include <sanitizer/tsan_interface.h>
#endif

extern "C" char __start_emulated_shared[] __attribute__((weak));
extern "C" char __stop_emulated_shared[] __attribute__((weak));

// What the emulation itself does is no business of ThreadSanitizer's.
#define UNSEEN __attribute__((no_sanitize("thread")))

namespace emulated {
namespace {
const unsigned WARP = 32;

struct Known {
    std::string kinds;
    Call call;
};

std::map<std::string, Known>& known() {
    static std::map<std::string, Known> all;
    return all;
}

std::vector<char> dynamic;
// What went wrong, said once.
std::string wrong;

void say(const std::string& what) {
    if (wrong.empty()) wrong = what;
}

void poison() {
    if (__start_emulated_shared) memset(__start_emulated_shared, 0xff, __stop_emulated_shared - __start_emulated_shared);
    memset(dynamic.data(), 0xff, dynamic.size());
}

dim3 at(unsigned index, dim3 size) {
    return dim3{index % size.x, index / size.x % size.y, index / size.x / size.y};
}

unsigned count(dim3 size) { return size.x * size.y * size.z; }
}  // namespace

void add_kernel(const char* name, const char* kinds, Call call) { known()[name] = Known{kinds, call}; }

void* dynamic_shared() { return dynamic.data(); }

const Place* here;

namespace {
enum State { Ready, AtBarrier, AtShuffle, Done };

struct Fiber {
    Place place;
    State state;
    int line;
    bool begun;
    uint64_t slot;
    ucontext_t start;
    std::vector<char> stack;
#ifdef EMULATED_FOR_RACES
    // What ThreadSanitizer knows it by, and how many barriers of its block and its warp it has come to.
    void* known;
    unsigned barriers, warp_barriers;
#else
    jmp_buf resume;
#endif
};

#ifdef EMULATED_FOR_RACES
const size_t STACK = 256 << 10;
#else
const size_t STACK = 64 << 10;
#endif
std::vector<Fiber> fibers;
Fiber* current;
ucontext_t scheduler_start;
Call body;
void** body_arguments;

#ifdef EMULATED_FOR_RACES
// ThreadSanitizer is told of every fiber as of a thread, and that nothing but a barrier orders what two of them do: not that
// they run in turn, nor that they exchange numbers, which on a card is no barrier for memory. So it finds two that touch the
// same memory without a barrier between them, in whatever order they ran here.
void* scheduler_known;
// What a barrier orders goes through a place of memory, by turns two of them: nobody comes to the next barrier but one before
// everybody has left this one.
char block_order[2], warp_order[1024 / WARP][2], begun_order, done_order;

UNSEEN void begin() {
    __tsan_acquire(&begun_order);
    body(body_arguments);
    __tsan_release(&done_order);
    current->state = Done;
    __tsan_switch_to_fiber(scheduler_known, __tsan_switch_to_fiber_no_sync);
    setcontext(&scheduler_start);
}

UNSEEN void wait(State state, int line) {
    current->state = state;
    current->line = line;
    Fiber* own = current;
    __tsan_switch_to_fiber(scheduler_known, __tsan_switch_to_fiber_no_sync);
    swapcontext(&own->start, &scheduler_start);
}

UNSEEN void resume(Fiber& fiber) {
    current = &fiber;
    here = &fiber.place;
    if (!fiber.begun) {
        fiber.begun = true;
        fiber.barriers = fiber.warp_barriers = 0;
        if (!fiber.known) fiber.known = __tsan_create_fiber(0);
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack.data();
        fiber.start.uc_stack.ss_size = fiber.stack.size();
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, begin, 0);
    }
    __tsan_switch_to_fiber(fiber.known, __tsan_switch_to_fiber_no_sync);
    swapcontext(&scheduler_start, &fiber.start);
}

void block_begins() {
    scheduler_known = __tsan_get_current_fiber();
    __tsan_release(&begun_order);
}

void block_is_done() { __tsan_acquire(&done_order); }

// Waits, and what anybody did before is seen by everybody behind.
UNSEEN void wait_in_order(State state, int line, char* order) {
    __tsan_release(order);
    wait(state, line);
    __tsan_acquire(order);
}
#else
jmp_buf scheduler;

UNSEEN void begin() {
    body(body_arguments);
    current->state = Done;
    _longjmp(scheduler, 1);
}

UNSEEN void wait(State state, int line) {
    current->state = state;
    current->line = line;
    if (_setjmp(current->resume) == 0) _longjmp(scheduler, 1);
}

UNSEEN void resume(Fiber& fiber) {
    current = &fiber;
    here = &fiber.place;
    if (_setjmp(scheduler)) return;
    if (fiber.begun) _longjmp(fiber.resume, 1);
    fiber.begun = true;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.data();
    fiber.start.uc_stack.ss_size = fiber.stack.size();
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, begin, 0);
    swapcontext(&scheduler_start, &fiber.start);
}

void block_begins() {}
void block_is_done() {}
#endif

// Lets those go on that all wait in the same place: of [first, last). Whether it did.
bool release(size_t first, size_t last, State state, const char* kernel) {
    for (size_t i = first; i < last; i++) {
        if (fibers[i].state != state) return false;
        if (fibers[i].line != fibers[first].line) {
            say(std::string(kernel) + ": threads wait in line " + std::to_string(fibers[first].line) +
                " and in line " + std::to_string(fibers[i].line));
            return false;
        }
    }
    for (size_t i = first; i < last; i++) fibers[i].state = Ready;
    return true;
}

void run(const char* kernel, dim3 grid, dim3 block, Call call, void** arguments) {
    unsigned threads = count(block);
    if (fibers.size() < threads) fibers.resize(threads);
    body = call;
    body_arguments = arguments;
    // Forwards and backwards in turn: what depends on the order of threads comes out.
    bool backwards = false;
    for (unsigned b = 0; b < count(grid) && wrong.empty(); b++) {
        poison();
        for (unsigned t = 0; t < threads; t++) {
            Fiber& fiber = fibers[t];
            fiber.place = Place{at(t, block), at(b, grid), block, grid};
            fiber.state = Ready;
            fiber.begun = false;
            fiber.stack.resize(STACK);
        }
        block_begins();
        unsigned done = 0;
        while (done < threads && wrong.empty()) {
            bool moved = false;
            done = 0;
            for (unsigned i = 0; i < threads; i++) {
                Fiber& fiber = fibers[backwards ? threads - 1 - i : i];
                if (fiber.state == Ready) {
                    resume(fiber);
                    moved = true;
                }
                done += fiber.state == Done;
            }
            backwards = !backwards;
            for (unsigned first = 0; first < threads; first += WARP) {
                moved |= release(first, first + WARP < threads ? first + WARP : threads, AtShuffle, kernel);
            }
            moved |= release(0, threads, AtBarrier, kernel);
            if (!moved && done < threads) say(std::string(kernel) + ": threads wait for others that have gone");
        }
        block_is_done();
    }
}
}  // namespace

#ifdef EMULATED_FOR_RACES
UNSEEN void barrier(int line) { wait_in_order(AtBarrier, line, &block_order[current->barriers++ % 2]); }

UNSEEN void warp_barrier(int line) {
    size_t warp = (current - fibers.data()) / WARP;
    wait_in_order(AtShuffle, line, &warp_order[warp][current->warp_barriers++ % 2]);
}
#else
UNSEEN void barrier(int line) { wait(AtBarrier, line); }

UNSEEN void warp_barrier(int line) { wait(AtShuffle, line); }
#endif

UNSEEN uint64_t exchange(uint64_t bits, int lane, int line) {
    Fiber* own = current;
    size_t number = own - fibers.data();
    own->slot = bits;
    wait(AtShuffle, line);
    uint64_t other = fibers[number ^ lane].slot;
    // Nobody gives its next value before everyone has this one.
    wait(AtShuffle, line);
    return other;
}

UNSEEN void among_all(uint64_t bits, const std::function<void(const uint64_t*)>& read, int line) {
    Fiber* own = current;
    size_t first = (own - fibers.data()) / WARP * WARP;
    own->slot = bits;
    wait(AtShuffle, line);
    uint64_t all[WARP];
    for (unsigned lane = 0; lane < WARP; lane++) all[lane] = fibers[first + lane].slot;
    read(all);
    wait(AtShuffle, line);
}
}  // namespace emulated

// Runs a kernel; what is wrong with it, or null. One at a time. sizes: grid x, y, z, block x, y, z.
extern "C" const char* emulated_launch(
    const char* kernel, const unsigned* sizes, unsigned shared_bytes, void** arguments, const char* kinds
) {
    using namespace emulated;
    static std::string answer;
    wrong.clear();
    dim3 grid{sizes[0], sizes[1], sizes[2]}, block{sizes[3], sizes[4], sizes[5]};
    auto found = known().find(kernel);
    if (found == known().end()) {
        say(std::string(kernel) + ": there is no such kernel");
    } else if (found->second.kinds != kinds) {
        say(std::string(kernel) + " takes " + found->second.kinds + ", not " + kinds);
    } else if (!count(grid) || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
        say(std::string(kernel) + ": no card has such a grid");
    } else if (!count(block) || count(block) > 1024 || count(block) % WARP || shared_bytes > 99u << 10) {
        say(std::string(kernel) + ": no block of ours is such");
    } else {
        dynamic.resize(shared_bytes);
        run(kernel, grid, block, found->second.call, arguments);
    }
    answer = wrong;
    return answer.empty() ? nullptr : answer.c_str();
}
