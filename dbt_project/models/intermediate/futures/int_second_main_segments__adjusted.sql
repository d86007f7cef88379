{{ adjusted_segments(ref('int_second_main_segments')) }}
