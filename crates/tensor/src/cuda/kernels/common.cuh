// What all kernels share: types, sums over a block, conversions, dropout, activations.
//
// Every kernel's source is this text and its own file, nothing is included: so NVRTC needs no paths, and a C++ compiler
// runs the same text on the host (../emulate/cuda_host.h). Activations are f32, row by row; sums are made in an order that
// depends on sizes alone, never by atomic additions, so that a run can be repeated to the bit.

#ifndef T5KIT_EMULATED
#define KERNEL extern "C" __global__ void
#define DYNAMIC_SHARED(name) extern __shared__ float name[]
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;
typedef signed char i8;

// The widths that the sums below take: whole warps.
#define WARP 32
#define FULL 0xffffffffu

// How weights are stored.
#define STORED_F32 0u
#define STORED_BF16 1u
#define STORED_F16 2u
#define STORED_INT8 3u
#define STORED_INT4 4u
// Columns that share a scale in 4 bits.
#define SHARE 32

__device__ float infinity() { return __int_as_float(0x7f800000); }

__device__ float bf16_to_f32(u16 bits) { return __int_as_float((int)((u32)bits << 16)); }

// To the nearest, halves to even; what is not a number stays so.
__device__ u16 f32_to_bf16(float x) {
    u32 bits = (u32)__float_as_int(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (u16)((bits >> 16) | 0x40u);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ float f16_to_f32(u16 bits) {
    u32 sign = (u32)(bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, rest = bits & 0x3ffu;
    if (exponent == 31u) return __int_as_float((int)(sign | 0x7f800000u | (rest << 13)));
    if (exponent != 0u) return __int_as_float((int)(sign | ((exponent + 112u) << 23) | (rest << 13)));
    // Below the normal numbers: rest · 2^-24, which f32 has exactly.
    float small = (float)rest * 5.9604644775390625e-8f;
    return sign ? -small : small;
}

// To the nearest, halves to even.
__device__ u16 f32_to_f16(float x) {
    u32 bits = (u32)__float_as_int(x), sign = (bits >> 16) & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (u16)(sign | 0x7e00u | ((bits >> 13) & 0x3ffu));
    if (bits >= 0x477ff000u) return (u16)(sign | 0x7c00u);
    if (bits < 0x38800000u) {
        // In units of 2^-24, to which the addition rounds: 0.5 has such a last place.
        float magic = __int_as_float((int)bits) + 0.5f;
        return (u16)(sign | ((u32)__float_as_int(magic) - 0x3f000000u));
    }
    u32 rounded = bits + 0xfffu + ((bits >> 13) & 1u);
    return (u16)(sign | ((rounded - 0x38000000u) >> 13));
}

// An element of a matrix with `cols` columns: of f32, bf16, f16, int8 with a scale a row, or 4 bits with a scale for every
// SHARE columns of a row, two columns a byte (the first in its lower half), with 8 added.
__device__ float stored(const void* data, const float* scales, u32 type, u64 row, u32 col, u32 cols) {
    u64 at = row * cols + col;
    if (type == STORED_F32) return ((const float*)data)[at];
    if (type == STORED_BF16) return bf16_to_f32(((const u16*)data)[at]);
    if (type == STORED_F16) return f16_to_f32(((const u16*)data)[at]);
    if (type == STORED_INT8) return (float)((const i8*)data)[at] * scales[row];
    u32 pair = ((const unsigned char*)data)[row * ((cols + 1) / 2) + col / 2];
    return (float)((int)(pair >> (col % 2 * 4) & 15u) - 8) * scales[row * ((cols + SHARE - 1) / SHARE) + col / SHARE];
}

template <class T> __device__ T warp_sum(T x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL, x, step);
    return x;
}

__device__ float warp_max(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FULL, x, step));
    return x;
}

// The sum over a block's threads, given to all of them; `scratch`: as many as a block has warps.
template <class T> __device__ T block_sum(T x, T* scratch) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = warp_sum(x);
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? scratch[lane] : (T)0);
}

// The same of the largest, what is not a number ignored.
__device__ float block_max(float x, float* scratch) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = warp_max(x);
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    return warp_max(lane < warps ? scratch[lane] : -infinity());
}

// The vector by relative position of a query and a key, of `vectors`, [2 · reach + 1, d].
__device__ const float* beside_key(const float* vectors, u32 reach, u32 position, u32 key, u32 d) {
    u32 at = key + reach < position ? 0u : key + reach - position;
    return vectors + (u64)(at < 2u * reach ? at : 2u * reach) * d;
}

// The number of this thread among all of a grid in one dimension, and how many there are.
__device__ u64 here() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ u64 everyone() { return (u64)gridDim.x * blockDim.x; }

// rng.rs: the finaliser of SplitMix64 over a combination of both.
__device__ u64 mix(u64 a, u64 b) {
    u64 z = a + (b + 1ull) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// A dropout: hashes from `threshold` on are kept and multiplied by `scale`; 0 keeps everything.
struct Dropout {
    u64 key;
    u32 threshold;
    float scale;
};

__device__ Dropout dropout_of(u64 key, u32 threshold, float scale) {
    Dropout d;
    d.key = key;
    d.threshold = threshold;
    d.scale = scale;
    return d;
}

// kernels/dropout.rs: what element `number` is multiplied by, the same to the bit.
__device__ float dropped(Dropout d, u64 number) {
    if (d.threshold == 0u) return 1.0f;
    u64 mixed = d.key + (number >> 32) * 0xa0761d6478bd642full;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
    mixed ^= mixed >> 31;
    u32 h = (u32)number ^ (u32)mixed;
    h = (h ^ (h >> 16)) * 0x21f0aaadu + (u32)(mixed >> 32);
    h = (h ^ (h >> 15)) * 0xd35a2d97u;
    h ^= h >> 15;
    return h >= d.threshold ? d.scale : 0.0f;
}
