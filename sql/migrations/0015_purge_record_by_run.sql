-- Why: a purge writes a record of everything it deletes, and an index on its run in random order cost as much as the
-- deletes themselves. The records of a run lie together, because they were written together: a summary of where each run
-- lies finds them as well, and costs nothing to keep.

drop index purge_record_by_run;
create index purge_record_by_run on purge_record using brin (run_id) with (pages_per_range = 16, autosummarize = on);
