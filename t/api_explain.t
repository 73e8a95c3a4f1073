#!/usr/bin/perl

# explain: which route a call would take, why not those before it, and the
# endpoints it may go to; nothing happens.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1 label=v=1;'
               . ' endpoint 127.0.0.1:2 label=v=2 weight=7;'
               . ' endpoint 127.0.0.1:3 label=v=2 down;'
               . ' endpoint 127.0.0.1:4 label=v=2 protocol=bolt;',
    mesh => <<'ROUTES',
    service g/demo.Grouped:1.0 { endpoint 127.0.0.1:5; }
    route tagged { match attachment.dubbo.tag=gray method=say*;
                   to label=v=2 weight=5; to label=v=9 fallback=label=v=1; }
    route ours { match caller=10.0.0.0/8; to service=demo.Nobody; }
    route no { match method=no app=bad; deny "not you"; }
    route some { match method=some percent=5; to label=v=2; }
ROUTES
    web => 'location /api/ { mesh_api; }'));
$t->run;

sub ask {
    my ($call) = @_;
    return $t->http('POST', '/api/1/explain', $call);
}

sub because {
    my ($e, $n) = @_;
    return join ' ', map { $_ // 'none' }
           @{ $e->{considered}[$n]{because} }{qw(fact value)};
}

my $r = ask({ service => 'demo.Echo', method => 'sayHello',
                  attachments => { 'Dubbo.Tag' => 'gray' } });
my $e = $r->{json};

is($r->{status}, 200, 'a call') or diag($r->{content});
is($e->{route}, 'tagged', 'its route');
is($e->{outcome}, 'endpoint', '... has endpoints');
ok(!$e->{by_chance}, '... not by chance');
is(scalar @{ $e->{considered} }, 1, '... is the first');
is(join(' ', map { "$_->{id}=$_->{effective_weight}"
                   . ($_->{excluded_by} ? "($_->{excluded_by})" : '') }
             @{ $e->{targets}[0]{endpoints} }),
   '127.0.0.1:1=0(labels) 127.0.0.1:2=7 127.0.0.1:3=0(down) '
   . '127.0.0.1:4=0(protocol)', 'its endpoints, and why not the others');
is($e->{targets}[0]{weight}, 5, '... the weight of the target');
is((grep { $_->{effective_weight} }
    @{ $e->{targets}[1]{fallback}{endpoints} })[0]{id}, '127.0.0.1:1',
   '... where it falls back to');

$e = ask({ service => 'demo.Echo', method => 'other', app => 'good',
               attachments => { 'dubbo.tag' => 'gray' },
               caller => '10.1.2.3' })->{json};

is($e->{route}, 'ours', 'another one');
is($e->{outcome}, 'no_endpoint', '... leads nowhere');
is(because($e, 0), 'method other', '... why not the one before');
is($e->{considered}[0]{because}{condition}{method}, 'say*',
   '... the condition');

$e = ask({ service => 'demo.Echo', method => 'no', app => 'bad' })->{json};
is($e->{outcome}, 'denied', 'one that is denied');
is($e->{deny}, 'not you', '... the text');
is(because($e, 0), 'attachment.dubbo.tag none', '... a fact it has not');
is(because($e, 1), 'caller none', '... nor this');

$e = ask({ service => 'demo.Echo', method => 'some' })->{json};
is($e->{route}, undef, 'no route for sure');
ok($e->{by_chance}, '... one by chance');
is($e->{considered}[3]{percent}, 5, '... in 5 %');
ok($e->{considered}[3]{matched}, '... which matches');
is(scalar(grep { !$_->{excluded_by} } @{ $e->{targets}[0]{endpoints} }), 2,
   '... otherwise the endpoints of the service');

$e = ask({ service => 'demo.Nobody', method => 'x' })->{json};
is($e->{outcome}, 'no_route', 'no such service');

$e = ask({ service => 'g/demo.Grouped:1.0', method => 'x' })->{json};
is($e->{targets}[0]{endpoints}[0]{id}, '127.0.0.1:5', 'a service with a group');
is(ask({ service => 'demo.Grouped:1.0' })->{json}{outcome}, 'no_route',
   '... not without it');

# what is wrong

sub wrong {
    my ($call, $pointer) = @_;
    my $answer = ask($call);

    is($answer->{status}, 422, "refused: $pointer") or diag($answer->{content});
    is($answer->{json}{error}{pointer}, $pointer, '... and where');
}

wrong({}, '/service');
wrong({ service => 'demo.Echo', color => 'red' }, '/color');
wrong({ service => 'demo.Echo', caller => 'there' }, '/caller');
wrong({ service => 'demo.Echo', protocol => 'gopher' }, '/protocol');
wrong({ service => 'demo.Echo', attachments => { a => 1 } }, '/attachments/a');

my $m = $t->metrics;
is($m->{mesh_table_commits_total}, 1, 'nothing was written');
is($t->sum($m, 'mesh_requests_total'), 0, '... and nothing called');

$t->done;
