-- Why: completing a request for a copy sends it: a link by mail, in the transaction that completes it. Who can't be mailed
-- is answered by hand, and the register says which of the two it was.

create type request_delivery as enum ('mail', 'by-hand');

alter table rights_request
    add column delivered request_delivery,
    add constraint rights_request_delivered_when_completed check (delivered is null or status = 'completed');
comment on column rights_request.delivered is 'How the copy that was asked for came to the person; null until then, and of what asks for none.';
