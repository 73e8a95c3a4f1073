#!/usr/bin/perl

# Blocking queries that never block: they are asked seldom, and what changes is
# still seen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 120);
my $f = Mesh::FaultHTTP->new;
my $alone = Mesh::FaultHTTP->new;
my @names = map { "com.example.$_" } qw(Same Index Backwards Moving Good
                                         Refused Denied Unheard);

sub instances { my $name = shift; [ map { dubbo($f, $name, $_) } @_ ] }

$f->service($_, instances($_, 20880)) for @names;

sub asked {
    my ($name, $of) = @_;
    return scalar grep { $_->{target} =~ m{[.]$name\b} }
                  ($of // $f)->requests;
}

$f->fault(match => 'Same\?index', times => 0);
$f->fault(match => 'Index\?index', index => $_) for 1000 .. 1100;
$f->fault(match => 'Backwards\?index', index => 2, times => 0);
$f->fault(match => 'Refused', status => 400, body => 'Invalid', times => 0);
$f->fault(match => 'Denied', status => 403, body => 'Permission denied',
          times => 0);
$f->fault(match => 'Unheard', status => 503, times => 0);
$alone->fault(match => 'Alone', status => 503, times => 0);
$f->fault(match => 'Moving\?index', json => instances($names[3],
          20880 + $_ % 2, 20890)) for 1 .. 6000;

$t->write_conf(learn_conf('consul ' . $f->url,
    service => [ map { "$_ registry=consul" } @names ],
    mesh => 'registry consul ' . $alone->url . ' name=alone discovery=listed;
             service com.example.Alone registry=alone { }'));
my $from = time;
$t->run;

until_learned($t, $_, 1) for @names[0, 1, 2, 4];
sleep 6;

# a plain read, two that cost nothing, and one that does
cmp_ok(asked('Same'), '<=', 5, 'always at once, and nothing new');
cmp_ok(asked('Index'), '<=', 5, 'an index that moves, and nothing new');

# each has a plain read behind it
cmp_ok(asked('Backwards'), '<=', 8, 'an index that goes backwards');

# there is something new each time: 1200 at once, then 40 a second
my $moving = asked('Moving');
my $most = 1200 + 40 * (time - $from);
cmp_ok($moving, '<=', $most, 'always another list: not more often than said');
ok((wait_for { asked('Moving') > 400 } 30), '... but again and again');

is(asked('Good'), 2, 'one that waits is asked twice');
like((grep { $_->{target} =~ /Good/ } $f->requests)[1]{target},
     qr/&wait=55s$/, '... for so long');

# what somebody has to change, and what may pass by itself
is(asked('Refused'), 1, 'a request that is refused');
is(asked('Denied'), 1, 'or forbidden');
my $n = asked('Alone', $alone);
my $passed = time - $from;
cmp_ok($n, '>=', 2, 'one that fails is tried again');
cmp_ok($n, '<=', 10 + $passed, '... less and less');
$n = asked('Unheard');
$passed = time - $from;
cmp_ok($n, '>=', 2, 'one that fails where others do not, too');
cmp_ok($n, '<=', 10 + $passed, '... as seldom');

is(scalar(grep { /\[error\]/ } errors_of($t)), 2, 'one line each is logged');
is(learned($t, $names[0]), '127.0.0.1:20880=100', 'it is still known');

$f->service('com.example.Good', instances('com.example.Good', 20880, 20881));
is(until_learned($t, $names[4], 2), '127.0.0.1:20880=100 127.0.0.1:20881=100',
   'a change of the good one is seen');

# one in fifteen seconds sees it
$f->service('com.example.Same', instances('com.example.Same', 20880, 20881));
is(until_learned($t, $names[0], 2, 30),
   '127.0.0.1:20880=100 127.0.0.1:20881=100', 'and of the other, later');

$t->done;
