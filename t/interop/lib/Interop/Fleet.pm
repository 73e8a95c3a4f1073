package Interop::Fleet;

# Real providers that register, a real consumer that knows nginx alone, and an
# nginx whose configuration has no address but the registry's.
#
#   my $f = Interop::Fleet->new(provider => 33, consumer => 27,
#                               registry => 'redis');
#   $f->start('a');
#   ... $f->load; ... $f->ended(0, 'all went well'); ...
#   $f->done;

use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(time sleep);

use lib dirname(__FILE__) . '/../../../lib';
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Consul;
use Mesh::Port qw(free_port);
use Mesh::Redis;
use Mesh::Test qw(wait_for);

our $ECHO = 'mesh.kit.api.Echo';

# connections and threads of the consumer: so many calls are in flight at most
use constant { CLIENTS => 4, THREADS => 12 };


# new(provider, consumer => 27, 33 or sofa513; registry => redis or consul,
#     store => options of Mesh::Redis or Mesh::Consul, mesh => more of mesh {},
#     source => parameters of "registry", define => sub that gives a provider's
#     properties)

sub new {
    my ($class, %o) = @_;

    prepare();

    my $t = Mesh::Test->new(timeout => 150);
    my $self = bless { o => \%o, t => $t, start => time }, $class;

    $self->{store} = $o{registry} eq 'redis'
                   ? Mesh::Redis->new(%{ $o{store} // {} })
                   : Mesh::Consul->new(%{ $o{store} // {} });

    $t->write_conf($self->conf);
    $t->run;

    return $self;
}


sub t     { $_[0]{t} }
sub store { $_[0]{store} }


# where SDKs find it, and where nginx does

sub address {
    my ($self) = @_;
    return "$self->{o}{registry}://127.0.0.1:" . $self->{store}->port;
}


sub conf {
    my ($self) = @_;

    my ($o, $url) = ($self->{o}, $self->{store}->url);
    my $source = $o->{source} // '';
    my $mesh = $o->{mesh} // '';

    # SOFARPC closes without notice when it is told to stop
    my $again = $o->{provider} =~ /sofa/ ? "mesh_idempotent $ECHO*:*;" : '';

    return <<"CONF";
worker_processes 2;

mesh {
    zone mesh:16m metrics=1m;
    state_path %%DIR%%/state;
    registry $o->{registry} $url $source;
    $mesh
}

stream {
    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass auto;
        mesh_timeout 8s;
        $again
    }
}

http {
    access_log off;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /api/ { mesh_api write=on; }
        location /metrics { mesh_metrics; }
    }
}
CONF
}


sub lap {
    my ($self, $what) = @_;
    note(sprintf '%5.1f s: %s', time - $self->{start}, $what);
}


sub jvm {
    my ($self, $peer, $main, $name, @args) = @_;

    my $dir = $self->{t}->dir;
    my $define = $main eq 'Provider' ? $self->{o}{define} : undef;
    my %define = $define ? $define->() : ();

    return Interop::Jvm->start($peer, $main, log => "$dir/$name.log",
        args => \@args, define => {
            # where SOFARPC would write its logs, too
            'user.home' => $dir, 'logging.path' => $dir,
            'dubbo.service.shutdown.wait' => 2000,
            %define,
        });
}


# launch(names): providers that are not waited for, on ports of their own

sub launch {
    my ($self, @names) = @_;

    for my $name (@names) {
        $self->{ports}{$name} //= free_port();
        $self->{providers}{$name} = $self->jvm($self->{o}{provider},
            'Provider', $name, "port=$self->{ports}{$name}", "name=$name",
            'services=', 'registry=' . $self->address, 'session=10000',
            @{ $self->{o}{args} // [] });
    }
}


sub ready {
    my ($self, @names) = @_;

    $self->{providers}{$_}->ready(60) for @names;
    $self->lap("@names ready");
}


# start(names): a consumer and those providers, which all have to answer

sub start {
    my ($self, @names) = @_;

    $self->launch(@names);
    my $jvm = $self->{consumer} = $self->jvm($self->{o}{consumer}, 'Consumer',
                                             'consumer');
    $jvm->ready(60);
    $self->ready(@names);

    for my $n (1 .. CLIENTS) {
        my $r = $jvm->ask('ref', name => "r$n",
                          address => '127.0.0.1:' . $self->{t}->port('mesh'));
        is($r->{answer}, 'ok', "client $n") or diag(explain($r));
    }

    ok($self->serve(@names), "the first calls go to @names");
    $self->lap('the first calls');
}


sub whoami {
    my ($self) = @_;
    my $r = $self->{consumer}->ask('call', ref => 'r1', op => 'whoami');
    return $r->{value} // '';
}


# serve(names): do these answer, and at last no other?

sub serve {
    my ($self, @names) = @_;

    return wait_for { $self->only(@names) } 15;
}


# whether these answer now, and nobody else

sub only {
    my ($self, @names) = @_;
    my %seen;

    $seen{$self->whoami}++ for 1 .. 12;

    return join(' ', sort keys %seen) eq join(' ', sort @names);
}


sub load {
    my ($self) = @_;

    my $refs = join ',', map { "r$_" } 1 .. CLIENTS;

    my $r = $self->{consumer}->ask('load', as => 'load', refs => $refs,
                                   threads => THREADS);
    is($r->{answer}, 'ok', 'load begins');
}


# ended(most, what): the load ends, and so many of its calls may have failed

sub ended {
    my ($self, $most, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $r = $self->{consumer}->ask('end', as => 'load');

    is($r->{wrong}, 0, 'no call had another\'s answer');
    cmp_ok($r->{failed}, '<=', $most, $what) or diag(explain($r));
    cmp_ok($r->{good}, '>', 100, 'of many');
    $self->lap("$r->{good} calls, $r->{failed} failed");

    return $r;
}


# told to stop, and killed; both wait for the end

sub drain {
    my ($self, $name) = @_;

    $self->{providers}{$name}->kill('TERM');
    ok(defined $self->{providers}{$name}->gone(20), "$name stops");
    $self->lap("$name has stopped");
}


sub die_now {
    my ($self, $name) = @_;

    $self->{providers}{$name}->kill('KILL');
    ok(defined $self->{providers}{$name}->gone(5), "$name is killed");
}


# the helper process of nginx that talks to registries

sub agent { my ($pid) = $_[0]{t}->children(qr/mesh agent process/); $pid }


# trouble(what, sub): the load goes on meanwhile, and all still answer

sub trouble {
    my ($self, $what, $sub) = @_;

    $sub->();
    ok($self->serve(sort keys %{ $self->{providers} }), $what);
    $self->lap($what);
}


# until the agent is another, and works: what it hears of a registry counts

sub agent_trouble {
    my ($self, $gone, $back) = @_;

    my $t = $self->{t};

    $t->allow_log(qr/signal 9|agent/);

    for my $signal (qw(KILL STOP)) {
        my $old = $self->agent;
        my $heard = answers($t);

        $t->signal($signal, $old);
        ok(wait_for(sub { my $new = $self->agent;
                          $new && $new != $old }, 20), "SIG$signal");

        # who leaves before the next one listens may only be lost
        ok(wait_for(sub { answers($t) > $heard }, 20), '... the next asks');

        # a provider that lives writes itself again
        ok(wait_for(sub { $gone->(); $self->only('a') }, 15),
           'the next agent hears of an end');
        $back->();
        ok($self->serve('a', 'b'), 'and of a beginning');
        $self->lap("an agent after SIG$signal");
    }
}


# how often an agent has heard from its registry for the first time

sub answers { scalar(() = $_[0]->log =~ /mesh registry "\w+": \S+ answers/g) }


sub done {
    my ($self) = @_;

    $_->stop for $self->{consumer}, values %{ $self->{providers} };
    $self->{t}->done;
}


###############################################################################


# life(provider, consumer, registry): providers come, drain and die

sub life {
    my ($provider, $consumer, $registry, %o) = @_;

    my $f = Interop::Fleet->new(provider => $provider,
                                consumer => $consumer,
                                registry => $registry, %o);

    $f->start('a');

    $f->load;
    $f->launch(qw(b c));
    $f->ready(qw(b c));
    ok($f->serve(qw(a b c)), 'two more come');

    $f->drain('a');
    ok($f->serve(qw(b c)), 'one leaves');
    $f->ended(0, 'no call failed');

    $f->load;
    sleep 0.5;
    $f->die_now('b');
    ok($f->serve('c'), 'one dies');
    $f->ended(THREADS, 'no call failed but those in flight');

    $f->done;
}


1;
