// Runs the kernels that cuda_host.h makes known; see there.

#include "cuda_host.h"

#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#ifdef EMULATED_BY_THREADS
#include <pthread.h>
#include <thread>
#else
#include <setjmp.h>
#include <ucontext.h>
#endif

extern "C" char __start_emulated_shared[] __attribute__((weak));
extern "C" char __stop_emulated_shared[] __attribute__((weak));

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
std::mutex saying;

void say(const std::string& what) {
    std::lock_guard<std::mutex> lock(saying);
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

#ifdef EMULATED_BY_THREADS

thread_local Place here;

namespace {
struct Shared {
    pthread_barrier_t block;
    std::vector<pthread_barrier_t> warps;
    std::vector<uint64_t> slots;
};

thread_local unsigned number;
Shared* shared;

void run(dim3 grid, dim3 block, Call call, void** arguments) {
    unsigned threads = count(block);
    Shared own;
    own.slots.resize(threads);
    own.warps.resize((threads + WARP - 1) / WARP);
    pthread_barrier_init(&own.block, nullptr, threads);
    for (size_t w = 0; w < own.warps.size(); w++) {
        unsigned lanes = threads - w * WARP < WARP ? threads - w * WARP : WARP;
        pthread_barrier_init(&own.warps[w], nullptr, lanes);
    }
    shared = &own;
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([=] {
            number = t;
            for (unsigned b = 0; b < count(grid); b++) {
                if (t == 0) poison();
                pthread_barrier_wait(&shared->block);
                here = Place{at(t, block), at(b, grid), block, grid};
                call(arguments);
                pthread_barrier_wait(&shared->block);
            }
        });
    }
    for (auto& thread : all) thread.join();
}
}  // namespace

void barrier(int) { pthread_barrier_wait(&shared->block); }

uint64_t exchange(uint64_t bits, int lane, int) {
    pthread_barrier_t* warp = &shared->warps[number / WARP];
    shared->slots[number] = bits;
    pthread_barrier_wait(warp);
    uint64_t other = shared->slots[number ^ lane];
    pthread_barrier_wait(warp);
    return other;
}

void among_all(uint64_t bits, const std::function<void(const uint64_t*)>& read, int) {
    pthread_barrier_t* warp = &shared->warps[number / WARP];
    shared->slots[number] = bits;
    pthread_barrier_wait(warp);
    read(&shared->slots[number / WARP * WARP]);
    pthread_barrier_wait(warp);
}

#else

const Place* here;

namespace {
enum State { Ready, AtBarrier, AtShuffle, Done };

struct Fiber {
    Place place;
    State state;
    int line;
    bool begun;
    uint64_t slot;
    jmp_buf resume;
    ucontext_t start;
    std::vector<char> stack;
};

const size_t STACK = 64 << 10;
std::vector<Fiber> fibers;
Fiber* current;
jmp_buf scheduler;
ucontext_t scheduler_start;
Call body;
void** body_arguments;

void begin() {
    body(body_arguments);
    current->state = Done;
    _longjmp(scheduler, 1);
}

void wait(State state, int line) {
    current->state = state;
    current->line = line;
    if (_setjmp(current->resume) == 0) _longjmp(scheduler, 1);
}

void resume(Fiber& fiber) {
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
    }
}
}  // namespace

void barrier(int line) { wait(AtBarrier, line); }

uint64_t exchange(uint64_t bits, int lane, int line) {
    Fiber* own = current;
    size_t number = own - fibers.data();
    own->slot = bits;
    wait(AtShuffle, line);
    uint64_t other = fibers[number ^ lane].slot;
    // Nobody gives its next value before everyone has this one.
    wait(AtShuffle, line);
    return other;
}

void among_all(uint64_t bits, const std::function<void(const uint64_t*)>& read, int line) {
    Fiber* own = current;
    size_t first = (own - fibers.data()) / WARP * WARP;
    own->slot = bits;
    wait(AtShuffle, line);
    uint64_t all[WARP];
    for (unsigned lane = 0; lane < WARP; lane++) all[lane] = fibers[first + lane].slot;
    read(all);
    wait(AtShuffle, line);
}

#endif
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
#ifdef EMULATED_BY_THREADS
        run(grid, block, found->second.call, arguments);
#else
        run(kernel, grid, block, found->second.call, arguments);
#endif
    }
    answer = wrong;
    return answer.empty() ? nullptr : answer.c_str();
}
