// The plain product, tile by tile: what the host's emulation runs, and what a card falls back to without cuBLASLt.

#define TILE 64
#define DEPTH 16

// f32, rounded to TF32 (ten bits of mantissa) where it is read, as tensor cores are given it: to the nearest, halves away
// from zero.
#define STORED_TF32 5u

__device__ float element(const void* data, u32 type, u64 at) {
    if (type == STORED_F32) return ((const float*)data)[at];
    if (type == STORED_TF32) {
        u32 bits = (u32)__float_as_int(((const float*)data)[at]);
        if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & 0xffffe000u;
        return __int_as_float((int)bits);
    }
    return type == STORED_BF16 ? bf16_to_f32(((const u16*)data)[at]) : f16_to_f32(((const u16*)data)[at]);
}

// c = act((accumulate ? c : 0) + a·b + bias) for every batch. a: [m, k], b: [k, n] with any strides of rows, columns and
// batches, in f32, TF32, bf16 or f16; c: [m, n], rows `c_row` apart; bias: [n] or null. Grid: [n / 64, m / 64, batches],
// block: 256.
KERNEL matmul(
    float* c, u64 c_row, u64 c_batch, u32 accumulate, const void* a, u32 a_type, u64 a_row, u64 a_column, u64 a_batch,
    const void* b, u32 b_type, u64 b_row, u64 b_column, u64 b_batch, u32 m, u32 n, u32 k,
    const float* bias, u32 act
) {
    __shared__ float as[DEPTH][TILE + 1];
    __shared__ float bs[DEPTH][TILE + 1];
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    u32 row = blockIdx.y * TILE, column = blockIdx.x * TILE;
    u64 a_first = blockIdx.z * a_batch, b_first = blockIdx.z * b_batch;
    float sums[4][4];
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) sums[i][j] = 0.0f;
    for (u32 depth = 0; depth < k; depth += DEPTH) {
        // Neighbouring threads read neighbouring elements, whichever way those lie.
        for (u32 i = threadIdx.x; i < DEPTH * TILE; i += 256) {
            u32 l = a_column == 1 ? i % DEPTH : i / TILE, r = a_column == 1 ? i / DEPTH : i % TILE;
            bool inside = row + r < m && depth + l < k;
            as[l][r] = inside ? element(a, a_type, a_first + (row + r) * a_row + (depth + l) * a_column) : 0.0f;
            l = b_column == 1 ? i / TILE : i % DEPTH;
            r = b_column == 1 ? i % TILE : i / DEPTH;
            inside = column + r < n && depth + l < k;
            bs[l][r] = inside ? element(b, b_type, b_first + (depth + l) * b_row + (column + r) * b_column) : 0.0f;
        }
        __syncthreads();
        for (u32 l = 0; l < DEPTH; l++) {
            float x[4], w[4];
            for (u32 i = 0; i < 4; i++) x[i] = as[l][ty + 16 * i];
            for (u32 j = 0; j < 4; j++) w[j] = bs[l][tx + 16 * j];
            for (u32 i = 0; i < 4; i++)
                for (u32 j = 0; j < 4; j++) sums[i][j] += x[i] * w[j];
        }
        __syncthreads();
    }
    for (u32 i = 0; i < 4; i++) {
        for (u32 j = 0; j < 4; j++) {
            u32 r = row + ty + 16 * i, q = column + tx + 16 * j;
            if (r >= m || q >= n) continue;
            float* to = c + blockIdx.z * c_batch + r * c_row + q;
            *to = finished((accumulate ? *to : 0.0f) + sums[i][j], bias, q, act);
        }
    }
}

// Rows that few_rows takes at a time, and columns that a thread reads together.
#define FEW 4
#define SIDE 8

// SIDE numbers of bf16, two a word.
__device__ void wide(float* to, float4 words) {
    const float* word = (const float*)&words;
    for (u32 i = 0; i < SIDE / 2; i++) {
        u32 bits = (u32)__float_as_int(word[i]);
        to[2 * i] = __int_as_float((int)(bits << 16));
        to[2 * i + 1] = __int_as_float((int)(bits & 0xffff0000u));
    }
}

// SIDE numbers from number `at` on, a multiple of it, in f32 or bf16.
__device__ void side(float* to, const void* from, u32 type, u64 at) {
    if (type == STORED_BF16) {
        wide(to, ((const float4*)from)[at / SIDE]);
    } else {
        float4* both = (float4*)to;
        both[0] = ((const float4*)from)[at / 4];
        both[1] = ((const float4*)from)[at / 4 + 1];
    }
}

// y = act((accumulate ? y : 0) + x·Wᵀ + bias) for at most FEW rows of x, in f32 or bf16: a warp an output, so that a
// weight is read once, as it is stored (not f16), and that takes the time. W: [outputs, inner], inner a multiple of
// SIDE. y: rows y_stride apart.
KERNEL few_rows(
    float* y, u32 y_stride, u32 accumulate, const void* x, u32 x_type, u32 x_stride, const void* w, const float* scales,
    u32 type, u32 rows, u32 outputs, u32 inner, const float* bias, u32 act
) {
    u32 lane = threadIdx.x % WARP, out = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (out >= outputs) return;
    u64 row = (u64)out * inner;
    float sums[FEW];
    for (u32 r = 0; r < FEW; r++) sums[r] = 0.0f;
    for (u32 c = lane * SIDE; c < inner; c += WARP * SIDE) {
        alignas(16) float weights[SIDE];
        if (type == STORED_INT8) {
            u64 bytes = ((const u64*)w)[(row + c) / SIDE];
            for (u32 i = 0; i < SIDE; i++) weights[i] = (float)(i8)(bytes >> (8 * i) & 255u);
        } else if (type == STORED_INT4) {
            u32 halves = ((const u32*)w)[(row + c) / SIDE];
            float scale = scales[(u64)out * ((inner + SHARE - 1) / SHARE) + c / SHARE];
            for (u32 i = 0; i < SIDE; i++) weights[i] = (float)((int)(halves >> (4 * i) & 15u) - 8) * scale;
        } else {
            side(weights, w, type, row + c);
        }
        for (u32 r = 0; r < FEW; r++) {
            if (r >= rows) break;
            alignas(16) float numbers[SIDE];
            side(numbers, x, x_type, (u64)r * x_stride + c);
            for (u32 i = 0; i < SIDE; i++) sums[r] += weights[i] * numbers[i];
        }
    }
    for (u32 r = 0; r < FEW; r++) {
        if (r >= rows) break;
        float sum = warp_sum(sums[r]);
        if (type == STORED_INT8) sum *= scales[out];
        float* to = y + (u64)r * y_stride + out;
        if (lane == 0) *to = finished((accumulate ? *to : 0.0f) + sum, bias, out, act);
    }
}
