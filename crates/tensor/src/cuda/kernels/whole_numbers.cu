// Products of many rows with weights in int8 or 4 bits, which are read as they are stored. A whole number of 8 bits is
// a bf16 without rounding, and a number in f32 is the sum of three bf16, so that tensor cores multiply both exactly:
// only the sums, in f32, round.

#define ROWS 64
#define OUTPUTS 64
// Columns looked at together: those that share a scale in 4 bits.
#define DEPTH SHARE
// Numbers from row to row in shared memory, which keeps the lanes' reads apart.
#define STRIDE (DEPTH + 8)
#define PARTS 3

__device__ u16 upper_half(float x) { return (u16)((u32)__float_as_int(x) >> 16); }

// x = the sum of to[0], to[apart] and to[2 · apart], each the next eight bits of what is left; what is not finite stays so.
__device__ void split(u16* to, u32 apart, float x) {
    bool finite = ((u32)__float_as_int(x) & 0x7f800000u) != 0x7f800000u;
    to[0] = finite ? upper_half(x) : f32_to_bf16(x);
    for (u32 i = 1; i < PARTS; i++) {
        x = finite ? x - bf16_to_f32(to[(i - 1) * apart]) : 0.0f;
        to[i * apart] = upper_half(x);
    }
}

// y = act((accumulate ? y : 0) + x·Wᵀ + bias). x: [rows, inner] in f32, rows x_stride apart; W: [outputs, inner], inner
// a multiple of 8, in int8 or 4 bits; y: rows y_stride apart. Grid: [outputs / 64, rows / 64], block: 256.
KERNEL multiply_whole_numbers(
    float* y, u32 y_stride, u32 accumulate, const float* x, u32 x_stride, const void* w, const float* scales, u32 type,
    u32 rows, u32 outputs, u32 inner, const float* bias, u32 act
) {
    // Two bf16 a word.
    __shared__ u32 x_words[PARTS * ROWS * STRIDE / 2];
    __shared__ u32 w_words[OUTPUTS * STRIDE / 2];
    __shared__ float by[OUTPUTS];
    u16 *xs = (u16*)x_words, *ws = (u16*)w_words;
    u32 first_row = blockIdx.y * ROWS, first_out = blockIdx.x * OUTPUTS, shares = (inner + SHARE - 1) / SHARE;
    Lane l = lane();
    u32 out = l.half * (OUTPUTS / 2);
    float sums[4][4], part[4][4];
    for (u32 t = 0; t < 4; t++)
        for (u32 i = 0; i < 4; i++) sums[t][i] = part[t][i] = 0.0f;
    for (u32 depth = 0; depth < inner; depth += DEPTH) {
        // The last columns have been used.
        __syncthreads();
        for (u32 i = threadIdx.x; i < ROWS * DEPTH; i += blockDim.x) {
            u32 r = i / DEPTH, c = i % DEPTH;
            bool inside = first_row + r < rows && depth + c < inner;
            split(xs + r * STRIDE + c, ROWS * STRIDE, inside ? x[(u64)(first_row + r) * x_stride + depth + c] : 0.0f);
        }
        for (u32 i = threadIdx.x; i < OUTPUTS * DEPTH / 8; i += blockDim.x) {
            u32 r = i / (DEPTH / 8), c = i % (DEPTH / 8) * 8;
            bool inside = first_out + r < outputs && depth + c < inner;
            u64 at = ((u64)(first_out + r) * inner + depth + c) / 8;
            u16* to = ws + r * STRIDE + c;
            if (type == STORED_INT8) {
                u64 bytes = inside ? ((const u64*)w)[at] : 0;
                for (u32 k = 0; k < 8; k++) to[k] = upper_half((float)(i8)(bytes >> (8 * k) & 255u));
            } else {
                u32 halves = inside ? ((const u32*)w)[at] : 0x88888888u;
                for (u32 k = 0; k < 8; k++) to[k] = upper_half((float)((int)(halves >> (4 * k) & 15u) - 8));
            }
        }
        if (type == STORED_INT4 && threadIdx.x < OUTPUTS) {
            u32 o = first_out + threadIdx.x;
            by[threadIdx.x] = o < outputs ? scales[(u64)o * shares + depth / SHARE] : 0.0f;
        }
        __syncthreads();
        for (u32 from = 0; from < DEPTH; from += 16) {
            u32 a[PARTS][4];
            for (u32 p = 0; p < PARTS; p++) left_factor(a[p], xs + p * ROWS * STRIDE + from, STRIDE, l);
            for (u32 t = 0; t < 4; t++) {
                u32 b[2];
                right_factor(b, ws + (out + t * 8) * STRIDE + from, STRIDE, l);
                // The least first.
                for (u32 p = PARTS; p > 0; p--) mma_bf16(part[t], a[p - 1], b);
            }
        }
        if (type == STORED_INT4) {
            for (u32 t = 0; t < 4; t++) {
                for (u32 i = 0; i < 4; i++) {
                    sums[t][i] += part[t][i] * by[out + column_of(l, t, i)];
                    part[t][i] = 0.0f;
                }
            }
        }
    }
    for (u32 t = 0; t < 4; t++) {
        for (u32 i = 0; i < 4; i++) {
            u32 r = first_row + row_of(l, i), o = first_out + out + column_of(l, t, i);
            if (r >= rows || o >= outputs) continue;
            float sum = type == STORED_INT8 ? part[t][i] * scales[o] : sums[t][i];
            float* to = y + (u64)r * y_stride + o;
            *to = finished((accumulate ? *to : 0.0f) + sum, bias, o, act);
        }
    }
}
