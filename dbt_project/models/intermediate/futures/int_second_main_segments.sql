{{ schedule_segments(ref('second_main_schedule')) }}
