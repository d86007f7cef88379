{{ adjusted_segments(ref('main_segments')) }}
