// Lets a C++ compiler run the kernels on the host, for tests: every CUDA thread is a fiber (with EMULATED_FOR_RACES
// one that ThreadSanitizer is told of as of a thread, so that it finds a missing barrier), blocks run one after another.
//
// Checked on the way: that all threads of a block reach the same barriers, that kernels get arguments of the right number
// and kind, and that grids and blocks are what a card allows. Shared memory is filled with NaN before every block.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

#define T5KIT_EMULATED
#define __device__ static inline
#define __shared__ static __attribute__((section("emulated_shared")))
#define KERNEL static void
#define DYNAMIC_SHARED(name) float* name = (float*)emulated::dynamic_shared()

struct dim3 {
    unsigned x, y, z;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

namespace emulated {
// Where a thread is: its place, its block's, and the sizes of both.
struct Place {
    dim3 thread, block, block_size, grid_size;
};
extern const Place* here;
// The emulation's own memory is no thread's.
__attribute__((no_sanitize("thread"))) inline const Place& place() { return *here; }
void* dynamic_shared();
// All threads of the block wait for one another; `line`: where, the same for all.
void barrier(int line);
// All threads of the warp wait for one another, likewise.
void warp_barrier(int line);
// All threads of the warp give a value, and each gets that of the thread whose lane is its own xor `lane`.
uint64_t exchange(uint64_t bits, int lane, int line);
// All threads of the warp give a value, and each does `read` with all of them before any goes on.
void among_all(uint64_t bits, const std::function<void(const uint64_t* all)>& read, int line);

// Runs a kernel's body in every thread.
using Body = std::function<void()>;
// Calls a kernel with arguments that lie at these addresses.
using Call = void (*)(void** arguments);
void add_kernel(const char* name, const char* kinds, Call call);

template <class T> constexpr char kind() {
    static_assert(std::is_pointer<T>::value || sizeof(T) == 4 || sizeof(T) == 8, "an argument of a kernel");
    return std::is_pointer<T>::value ? 'p' : std::is_same<T, float>::value ? 'f' : sizeof(T) == 4 ? 'u' : 'U';
}

template <class... A> struct Signature {
    static const char* kinds() {
        static const char all[] = {kind<A>()..., 0};
        return all;
    }
    template <void (*F)(A...), size_t... I> static void apply(void** arguments, std::index_sequence<I...>) {
        F(*(A*)arguments[I]...);
    }
    template <void (*F)(A...)> static void call(void** arguments) {
        apply<F>(arguments, std::index_sequence_for<A...>());
    }
};

template <class... A> Signature<A...> signature(void (*)(A...)) { return Signature<A...>(); }

struct Kernel {
    Kernel(const char* name, const char* kinds, Call call) { add_kernel(name, kinds, call); }
};
}  // namespace emulated

// Makes a kernel known, behind its definition.
#define EMULATED_KERNEL(name)                                                      \
    static emulated::Kernel kernel_##name(                                         \
        #name, decltype(emulated::signature(&name))::kinds(),                      \
        &decltype(emulated::signature(&name))::template call<&name>                \
    );

#define threadIdx (emulated::place().thread)
#define blockIdx (emulated::place().block)
#define blockDim (emulated::place().block_size)
#define gridDim (emulated::place().grid_size)
#define __syncthreads() emulated::barrier(__LINE__)
#define __syncwarp() emulated::warp_barrier(__LINE__)
#define __shfl_xor_sync(mask, value, lane) emulated::shuffle(value, lane, __LINE__)

namespace emulated {
template <class T> T shuffle(T value, int lane, int line) {
    static_assert(sizeof(T) <= 8, "what lanes exchange");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = exchange(bits, lane, line);
    memcpy(&value, &bits, sizeof(T));
    return value;
}
}  // namespace emulated

static inline float __int_as_float(int bits);

namespace emulated {
// c += a·b by a warp, bf16 with sums in f32: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type". Lane l
// is member l % 4 of group l / 4. It has of a the rows group and group + 8, columns from 2 · member on and from 8 behind
// on; of b the same rows of column `group`; of c the rows group and group + 8, columns 2 · member and the next.
struct Fragment {
    unsigned a[4], b[2];
};

// Another lane's, as the hardware has it: no thread's memory.
__attribute__((no_sanitize("thread"))) inline Fragment given(uint64_t at) {
    return *(const Fragment*)(uintptr_t)at;
}

inline void multiply_bf16(float* c, const unsigned* a, const unsigned* b, int line) {
    Fragment own = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    auto element = [](unsigned bits, unsigned which) {
        return __int_as_float((int)(which ? bits & 0xffff0000u : bits << 16));
    };
    among_all((uint64_t)(uintptr_t)&own, [&](const uint64_t* all) {
        auto of = [&](unsigned lane) { return given(all[lane]); };
        unsigned lane = threadIdx.x % 32;
        for (unsigned i = 0; i < 4; i++) {
            unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            float sum = 0.0f;
            for (unsigned k = 0; k < 16; k++) {
                Fragment left = of(row % 8 * 4 + k % 8 / 2), right = of(column * 4 + k % 8 / 2);
                sum += element(left.a[row / 8 + k / 8 * 2], k % 2) * element(right.b[k / 8], k % 2);
            }
            c[i] += sum;
        }
    }, line);
}
}  // namespace emulated
#define mma_bf16(c, a, b) emulated::multiply_bf16(c, a, b, __LINE__)

static inline float __int_as_float(int bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline int __float_as_int(float x) {
    int bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline void atomicMin(unsigned long long* to, unsigned long long x) {
    unsigned long long old = __atomic_load_n(to, __ATOMIC_RELAXED);
    while (x < old && !__atomic_compare_exchange_n(to, &old, x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
