{{ schedule_segments(ref('main_schedule'), same=['schedule_hash', 'source']) }}
