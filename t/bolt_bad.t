#!/usr/bin/perl

# Bolt that is wrong: what cannot be trusted closes its own connection, what
# has its length right is answered, typed, and counted; a good client beside it
# notices nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Test;

use Time::HiRes qw(time sleep);

my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1 },
    { proto => 2, ver1 => 2 },
);

# answers that are wrong in a way the method's name tells

my %answers = (
    crc => { crc => 1 },
    command => { cmdcode => 3 },
    command_100 => { cmdcode => 100 },
    status_10 => { status => 10 }, status_15 => { status => 15 },
    status_19 => { status => 0x13 }, status_negative => { status => 0xffff },
);

# ... and those that only look so

my %fine = (answered_1 => { cmdcode => 1 },
            map { ("status_$_" => { status => $_ }) } 1 .. 9, 16 .. 18);

sub answer {
    my ($p, $c, $f) = @_;

    return 0 unless $f->{kind} eq 'request';

    my $how = $answers{$f->{method}} // $fine{$f->{method}} // return 0;

    $p->count($c, $f);
    $p->write($c, Mesh::Bolt::reply($f, value => 'x', %$how));

    return 1;
}

my $t = Mesh::Test->new(timeout => 180);
my $peer = Mesh::Peer->new(speaks => 'bolt', value => 'ok');
my $bad = Mesh::Peer->new(speaks => 'bolt', value => 'bad',
                          handler => \&answer, methods => {
    slow => { delay => 30 },
    junk => { garbage => 1 },
    zero => { garbage => "\0" x 64 },
    dubbo => { garbage => Mesh::Dubbo::response(id => 1) },
    type => { garbage => Mesh::Bolt::frame(type => 3) },
    class => { garbage => Mesh::Bolt::frame(type => 0, class_length => 32768) },
    content => { garbage => Mesh::Bolt::frame(type => 0,
                                              content_length => 0x80000000) },
});
my $leaves = Mesh::Peer->new(speaks => 'bolt', value => 'leaves',
                             methods => { slow => { delay => 1 } });

$t->write_conf(conf(pass => 'bolt',
    server => 'mesh_header_timeout 2s; mesh_timeout 5s; mesh_max_frame 128k;',
    service => 'endpoint ' . $peer->address . ';',
    mesh => 'service demo.Bad:1.0 {
                 endpoint ' . $bad->address . ' max_fails=0;
             }
             service demo.Leaves:1.0 {
                 endpoint ' . $leaves->address . ';
                 endpoint ' . $peer->address . ';
             }'));
$t->run;

my $good = $t->tcp('rpc', speaks => 'bolt');

sub good {
    my ($what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply(scalar spread($good, 3, %{ $forms[rand 3] }), { ok => 3 },
              "... beside it ($what) calls go on");
}

sub lines { my @lines = $t->grep_log($_[0]); return scalar @lines }

my %counted;

# what is new in a counter, which is up to a second late

sub counter {
    my ($name, %labels) = @_;

    my $key = join ' ', $name, map { "$_ $labels{$_}" } sort keys %labels;
    my $before = $counted{$key} // 0;

    wait_for {
        $counted{$key} = $t->sum($t->metrics, $name, %labels);
        $counted{$key} > $before;
    } 5;

    return $counted{$key} - $before;
}

good('nothing');


###############################################################################
# bytes that are no frame

my $frame = Mesh::Bolt::request(service => 'demo.Echo', id => 1);
my $v2 = Mesh::Bolt::request(service => 'demo.Echo', id => 1, proto => 2);

my @garbage = (
    'a line of text' => "hello, is anybody there?\r\n",
    'zeroes' => "\0" x 4096,
    'a protocol 3' => "\3" . substr($frame, 1),
    'Dubbo' => Mesh::Dubbo::request(service => 'demo.Echo'),
    'type 3' => Mesh::Bolt::frame(type => 3),
    'type 255 of v2' => Mesh::Bolt::frame(proto => 2, type => 255),
    'v2 without a version' => Mesh::Bolt::frame(proto => 2, ver1 => 0),
    'v2 of a version 3' => Mesh::Bolt::frame(proto => 2, ver1 => 3),
    'a negative switch' => Mesh::Bolt::frame(proto => 2, switch => 128),
    'a frame, then none' => Mesh::Bolt::heartbeat() . 'x' x 32,
    'a content shorter than it says' =>
        Mesh::Bolt::request(service => 'demo.Echo', id => 1, content => 'abc',
                            codec => 12, content_length => 1),
    (map {
        my $form = $forms[$_];
        ("a class of 32768 in form $_" =>
             Mesh::Bolt::frame(%$form, class_length => 32768),
         "a class of 65535 in form $_" =>
             Mesh::Bolt::frame(%$form, class_length => 65535),
         "headers of 32768 in form $_" =>
             Mesh::Bolt::frame(%$form, header_length => 32768),
         "a negative content in form $_" =>
             Mesh::Bolt::frame(%$form, content_length => 0x80000000))
    } 0 .. 2),
);

while (my ($name, $bytes) = splice @garbage, 0, 2) {
    my $line = qr/\[info\].*client sent bytes that are no bolt frame/;
    my $before = lines($line);
    my $client = $t->tcp('rpc', speaks => 'bolt');

    $client->{raw} = 1;
    $client->send($bytes);

    isnt($client->closed(5), '', "$name: closed");
    is(lines($line) - $before, 1, '... one line');
    is(counter('mesh_protocol_errors_total', side => 'client'), 1,
       '... one in the counter');
    good($name);
}


# lengths above what there is: the rest is waited for, for its time

my @short = map { $t->tcp('rpc', speaks => 'bolt') } 1 .. 4;

$short[0]->send(Mesh::Bolt::request(service => 'demo.Echo', id => 1,
                                    class_length => 32767));
$short[1]->send(Mesh::Bolt::request(service => 'demo.Echo', id => 1,
                                    content_length => 4096));
$short[2]->send(substr $v2, 0, 13);
$short[3]->send(substr $frame, 0, 1);

my $drip = $t->tcp('rpc', speaks => 'bolt');
my $until = time + 15;
my $sent = 0;

while (time < $until && $sent < 120) {
    last if IO::Select->new($drip->socket)->can_read(0.1);
    $drip->send(substr $frame, $sent++, 1);
}

isnt($drip->closed(5), '', 'a byte now and then: closed');
cmp_ok($sent, '<', 120, '... before the frame was whole');
isnt($_->closed(10), '', 'less than it says: closed') for @short;
is(lines(qr/\[info\].*client did not complete its frame/), 5,
   '... one line each');
wait_for {
    $t->sum($t->metrics, 'mesh_client_closed_total',
            reason => 'header_timeout') == 5;
} 5;
is(counter('mesh_client_closed_total', reason => 'header_timeout'), 5,
   '... one in the counter each');
good('slow ones');


###############################################################################
# frames that are, but are bad

my $client = $t->tcp('rpc', speaks => 'bolt');
my $id = 100;

for my $form (@forms) {
    $client->send(Mesh::Bolt::request(
        %$form, service => 'demo.Echo', id => ++$id, codec => 11,
        content => 'x' x 200_000));
    is(went($client->recv_id($id, 5)), 'status 9', 'a large one is refused');
    is(counter('mesh_oversize_frames_total'), 1, '... one in the counter');
    is_deeply(scalar spread($client, 2, %$form), { ok => 2 },
              '... and its connection is good for more');
}

my $huge = $t->tcp('rpc', speaks => 'bolt');

$huge->send(Mesh::Bolt::frame(id => 5, codec => 11,
                              content_length => 0x7fffffff));
is(went($huge->recv_id(5, 5)), 'status 9',
   'a huge one is refused by the header alone');
is(counter('mesh_oversize_frames_total'), 1, '... one in the counter');
$huge->close;
good('large frames');


# a header map that lies: what comes before the lie is as good as ever

my $echo = Mesh::Bolt::map_bytes([ service => 'demo.Echo:1.0',
                                   sofa_head_method_name => 'echo' ]);
my %lie = (
    'a key beyond the end' => pack('N', 100) . 'app',
    'a value beyond the end' => pack('N/a* N', 'app', 0x7fffffff) . 'x',
    'a key without a value' => pack('N/a*', 'app'),
    'half a length' => "\0\0",
    'a length of -2' => pack('l> N/a*', -2, 'x'),
    'the least length' => pack('N N/a*', 0x80000000, 'x'),
    'only null keys' => pack('l>', -1) x 7,
    'bytes' => "\xff" x 999,
);

for my $name (sort keys %lie) {
    for my $form (@forms) {
        my %call = (%$form, codec => 11, service => 'demo.Echo');

        $client->send(Mesh::Bolt::request(%call, id => ++$id,
                                          header => $echo . $lie{$name}));
        is(went($client->recv_id($id, 5)), 'ok', "$name: routed");

        $client->send(Mesh::Bolt::request(%call, id => ++$id,
                                          header => $lie{$name} . $echo));
        my $f = $client->recv_id($id, 5);
        ok($f && went($f) =~ /^(?:ok|status 6)$/, '... or answered')
            or diag went($f);
        is($client->{eof}, '', '... not closed');
    }
}

# the content as a fallback, where it lies as well

my $request = Mesh::Bolt::request_body('B', 'demo.Echo:1.0', 'echo', 'x');
my $final = Mesh::Bolt::request_body('A', 'demo.Echo:1.0', 'echo', 'x');

my %content = (
    'nothing' => '',
    'half a definition' => substr($request, 0, 30),
    'half a definition of A' => substr($final, 0, 30),
    'a class of a length' => 'OI' . pack('N', 0x7fffffff) . 'x' x 40,
    'a negative length' => 'OI' . pack('N', 0xfffffff0) . 'x' x 40,
    'fields without end' => "O\x91xI" . pack('N', 0x7fffffff) . "\1a" x 40,
    'definitions without end' => "O\x91x\x90" x 8000,
    'no such class' => "o\x9f" . 'NNNN',
    'lists in lists' => ('V' x 60_000),
    'lists in lists of A' => 'W' x 60_000,
    'maps in maps' => 'M' x 60_000,
    'objects in objects' => "O\x91x\x91\1a" . "o\x90" x 30_000,
    'long strings' => 's' . pack('n', 0x8000) . 'x' x 0x8000 . 'S'
                      . pack('n', 0xffff) . 'x' x 100,
    'half of UTF-8' => "\x02\xc3",
    'all bytes' => join('', map { chr } 0 .. 255),
);

for my $name (sort keys %content) {
    $client->send(Mesh::Bolt::frame(%{ $forms[$_] }, id => ++$id,
                                    class => Mesh::Bolt::SOFA_REQUEST,
                                    content => $content{$name})) for 0, 2;
}

my @f = $client->recv_frames(2 * keys %content, 10);

is(scalar(grep { defined $_->{error} && $_->{error} =~ /no_route/ } @f),
   2 * keys %content, 'a content that lies: answered');
is($client->{eof}, '', '... not closed');
is_deeply(scalar spread($client, 2), { ok => 2 },
          'their connection is good for more');
good('content');
cmp_ok(counter('mesh_unreadable_requests_total'), '>=', 10,
       'unreadable ones are counted');


# a checksum that is wrong

my $requests = $peer->stats->{requests};

for my $oneway (0, 1) {
    $client->send(Mesh::Bolt::request(proto => 2, ver1 => 2, id => ++$id,
                                      service => 'demo.Echo', crc => 7,
                                      oneway => $oneway));
    is(went($client->recv_id($id, $oneway ? 0.3 : 5)),
       $oneway ? 'none' : 'status 9', "a wrong CRC, one-way: $oneway");
    is(counter('mesh_damaged_frames_total', side => 'client',
               reason => 'checksum'), 1, '... one in the counter');
}

$client->send(Mesh::Bolt::frame(proto => 2, ver1 => 2, id => ++$id, type => 0,
                                cmdcode => 2, crc => 7)
              . Mesh::Bolt::frame(proto => 2, ver1 => 2, id => ++$id,
                                  cmdcode => 0, crc => 7));
is($client->recv_frame(0.3), undef, 'nor has another frame an answer');
is(counter('mesh_damaged_frames_total', side => 'client',
           reason => 'checksum'), 2, '... two in the counter');
is($peer->stats->{requests} + $peer->stats->{oneways}, $requests,
   'nothing of it went to a provider');
is_deeply(scalar spread($client, 2, %{ $forms[2] }), { ok => 2 },
          'that connection is good for more');
good('checksums');


# commands nobody knows

$requests = $peer->stats->{requests};

for my $command (2, 3, 99, 101, 0x7fff, 0xffff) {
    for my $form (@forms[0, 1]) {
        $client->send(Mesh::Bolt::frame(%$form, id => ++$id,
                                        cmdcode => $command,
                                        content => 'x' x 20));
        is(went($client->recv_id($id, 5)), 'status 9',
           "command $command: answered");
        is(counter('mesh_damaged_frames_total', side => 'client',
                   reason => 'command'), 1, '... one in the counter');
    }
}

$client->send(Mesh::Bolt::frame(type => 2, cmdcode => 77, id => ++$id)
              . Mesh::Bolt::frame(type => 2, cmdcode => 0, id => ++$id)
              . Mesh::Bolt::readonly(id => ++$id)
              . Mesh::Bolt::response(id => ++$id, value => 'x')
              . Mesh::Bolt::ack(id => ++$id));
is($client->recv_frame(0.3), undef,
   'what wants no answer gets none, whatever it is');
is($peer->stats->{requests} + $peer->stats->{oneways}, $requests,
   'nothing of it went to a provider');
is_deeply(scalar spread($client, 2), { ok => 2 },
          'that connection is good for more');
good('commands');


###############################################################################
# providers

for my $method (sort keys %answers) {
    for my $form ($method eq 'crc' ? $forms[2] : @forms) {
        my $f = $client->call(%$form, service => 'demo.Bad', id => ++$id,
                              method => $method, timeout => 5);

        like(went($f), qr/^error .*bad_response/, "$method: answered");
        is($f->{crc_ok} // 1, 1, '... well');
        is(counter('mesh_damaged_frames_total', side => 'provider',
                   reason => $method eq 'crc' ? 'checksum' : 'command'), 1,
           '... one in the counter');
    }
}

for my $method (sort keys %fine) {
    my $f = $client->call(%{ $forms[2] }, service => 'demo.Bad', id => ++$id,
                          method => $method, timeout => 5);

    is(went($f), $method =~ /^status/ ? $method =~ s/_/ /r : 'x',
       "$method comes through");
}

is($bad->stats->{connections}, 3, 'no link was closed for it');
is(lines(qr/\[error\].*endpoint sent a damaged frame/), 3,
   '... and one line a link');


# bytes that are no frame: that link's calls fail, others do not notice

my $other = $t->tcp('rpc', speaks => 'bolt');
my $links = $bad->stats->{connections};
my $slow = 0;

for my $how (qw(junk zero dubbo type class content)) {

    is((spread($client, 1, service => 'demo.Bad'))[0], 'bad',
       'it answers well');
    $slow += 2;
    $client->send(Mesh::Bolt::request(service => 'demo.Bad', id => 1,
                                      method => 'slow'));
    $other->send(Mesh::Bolt::request(service => 'demo.Bad', id => 2,
                                     method => 'slow'));
    wait_for { ($bad->stats->{methods}{slow} // 0) == $slow } 5, 'calls';
    $client->send(Mesh::Bolt::request(service => 'demo.Bad', id => 3,
                                      method => $how));

    is_deeply(statuses($client->recv_frames(2), $other->recv_frames(1)),
              { 'status 16' => 3 }, "$how: all its calls are answered");
    is_deeply(scalar spread($other, 3), { ok => 3 }, '... others go on');
}

is(counter('mesh_protocol_errors_total', side => 'provider'), 6,
   'they are counted');
is(lines(qr/\[error\].*endpoint sent bytes that are no bolt frame/), 6,
   '... one line each');
is($bad->stats->{connections}, $links + 5, '... one link each');


# MOSN's GoAway: that link is drained, as Dubbo's READONLY does

spread($client, 4, service => 'demo.Leaves');
$client->send(Mesh::Bolt::request(service => 'demo.Leaves', id => 500 + $_,
                                  method => 'slow')) for 1 .. 2;
wait_for { ($leaves->stats->{methods}{slow} // 0)
           + ($peer->stats->{methods}{slow} // 0) == 2 } 5;

$leaves->readonly;
wait_for { $t->sum($t->metrics, 'mesh_readonly_total', from => 'provider') }
    5;

is_deeply(scalar spread($client, 10, service => 'demo.Leaves'),
          { ok => 10 }, 'calls avoid a provider that is leaving');
is(scalar(grep { $client->recv_id(500 + $_, 5) } 1 .. 2), 2,
   '... those in flight there are answered');
ok((wait_for { $leaves->stats->{open} == 0 } 5), '... then its link is closed');
is(scalar @{ $client->{frames} }, 0, '... and clients hear nothing of it');

is($good->{eof}, '', 'the good client was never closed');
is($client->{eof}, '', 'nor was the one that sent bad frames');
ok(wait_for(sub {
    my $m = $t->metrics;
    $m->{mesh_requests_in_flight} == 0 && $m->{mesh_buffered_bytes} == 0;
}, 10), 'nothing is left over');

$_->close for $good, $client, $other;
$t->done;
